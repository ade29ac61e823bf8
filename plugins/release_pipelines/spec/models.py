"""What a team writes: app, environment and analysis files as pydantic models."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

SCHEMA_VERSION = 1

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def parse_duration(value: Any) -> float:
    """Turn ``500ms``, ``30s``, ``5m``, ``1h30m`` or ``2d`` into seconds; a bare number is taken as seconds."""
    if isinstance(value, bool):
        raise ValueError("a duration like 30s, 5m or 1h30m is expected")
    if isinstance(value, (int, float)):
        seconds = float(value)
    else:
        match = _DURATION.fullmatch(str(value).strip())
        if not match or not any(match.groups()):
            raise ValueError("a duration like 30s, 5m or 1h30m is expected")
        days, hours, minutes, secs, millis = (float(part or 0) for part in match.groups())
        seconds = days * 86400 + hours * 3600 + minutes * 60 + secs + millis / 1000
    if not 0 <= seconds < math.inf:
        raise ValueError("a duration of zero or more is expected")
    return seconds


def parse_share(value: Any) -> float:
    """Turn ``1%`` or ``0.01`` into the fraction 0.01."""
    percent = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if percent:
        return float(percent[1]) / 100
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("a share like 1% or 0.01 is expected")
    return float(value)


Duration = Annotated[float, BeforeValidator(parse_duration, json_schema_input_type=str | float)]
Limit = Annotated[float, BeforeValidator(parse_share, json_schema_input_type=str | float)]
DnsName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$")]
Action = Literal["rollback", "hold", "continue"]


class Spec(BaseModel):
    """Base of everything that is read from YAML: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# --- analysis -------------------------------------------------------------------------------------------------


class MetricSpec(Spec):
    """One thing that is measured on the canary.

    Exactly one of ``source`` (ready-made), ``bad`` with ``total`` (own counts in PromQL) or ``query`` (own gauge).
    """

    name: DnsName
    source: Literal["errors", "slow_requests", "cpu", "memory"] | None = Field(
        None,
        description="Ready-made: failed requests, requests slower than `slower_than`, CPU or memory against the limit",
    )
    bad: str | None = Field(None, description="PromQL that counts bad events in {{ window }}")
    total: str | None = Field(None, description="PromQL that counts all events in {{ window }}")
    query: str | None = Field(None, description="PromQL that gives one number (a gauge)")
    limit: Limit = Field(description="Highest allowed value: a share like 1% for counts, a number for gauges")
    slower_than: Duration = Field(0.5, description="For slow_requests: a request that takes longer is slow")
    min_requests: int = Field(20, ge=1, description="Fewer events in the window than this: inconclusive")
    failure_limit: int = Field(1, ge=0, description="Consecutive failures that are tolerated; one more fails the step")
    critical: bool = Field(True, description="A metric that is not critical is reported but decides nothing")

    @property
    def counts(self) -> bool:
        """Whether the metric is bad events out of all events (else a gauge)."""
        return self.source in ("errors", "slow_requests") or self.bad is not None

    @model_validator(mode="after")
    def _one_source(self) -> MetricSpec:
        given = [self.source is not None, self.bad is not None or self.total is not None, self.query is not None]
        if sum(given) != 1 or (self.bad is None) != (self.total is None):
            raise ValueError("exactly one of `source`, `bad` with `total`, or `query` is expected")
        return self


class AnalysisSpec(Spec):
    """How a step is judged (R3)."""

    interval: Duration = Field(10, gt=0, description="Time between two measurements")
    window: Duration = Field(30, gt=0, description="How far each measurement looks back; never past the step's start")
    min_measurements: int = Field(1, ge=1, description="So many must pass before a step can pass")
    error_limit: int = Field(5, ge=0, description="Consecutive errors of the metrics service that are tolerated")
    patience: Duration = Field(60, description="How long an inconclusive step waits beyond its hold")
    on_inconclusive: Action = "rollback"
    on_error: Action = "rollback"
    metrics: list[MetricSpec] = Field(min_length=1)

    @field_validator("metrics")
    @classmethod
    def _names_differ(cls, metrics: list[MetricSpec]) -> list[MetricSpec]:
        names = [metric.name for metric in metrics]
        if len(set(names)) != len(names):
            raise ValueError("metric names that differ are expected")
        if not any(metric.critical for metric in metrics):
            raise ValueError("at least one critical metric is expected")
        return metrics


# --- app ------------------------------------------------------------------------------------------------------


class BuildSpec(Spec):
    """How the image is made. An app without ``build`` has its image built elsewhere: a tag is resolved to a digest."""

    repository: str = Field(description="Git URL, or a folder that is a Git repository (relative to the project)")
    git_connection: str | None = Field(None, description="Airflow connection with a private repository's credentials")
    branch: str = Field("main", description="Built when the version has no tag of its own (`v1.2.3` or `1.2.3`)")
    context: str = Field(".", description="Folder inside the repository: a monorepo's subfolder")
    dockerfile: str = "Dockerfile"
    target: str | None = Field(None, description="Stage of the Dockerfile that is released")
    test_target: str | None = Field(None, description="Stage whose build runs the app's tests")
    args: dict[str, str] = Field(default_factory=dict)
    timeout: Duration = 1800


class ScanSpec(Spec):
    """What is scanned before anything is deployed."""

    scanners: list[Literal["hadolint", "bandit"]] = ["hadolint", "bandit"]
    block_on: Literal["low", "medium", "high"] = Field("high", description="Findings from this severity on block")


class WorkloadSpec(Spec):
    """One thing that runs."""

    name: DnsName | None = Field(None, description="Default: the app's name")
    kind: str = "Deployment"
    container: str | None = Field(None, description="Default: the one called like the workload, or the only one")
    port: int = Field(8080, ge=1, le=65535)
    health: str = Field("/health", pattern=r"^/", description="Answers 2xx when a replica is ready")
    replicas: int = Field(2, ge=1, le=1000)
    cpu: float | None = Field(None, gt=0, description="Limit in cores")
    memory: str | None = Field(None, pattern=r"^\d+(Ki|Mi|Gi)$", description="Limit, like 256Mi")
    env: dict[str, str] = Field(default_factory=dict)
    ready_timeout: Duration = 120

    @field_validator("kind")
    @classmethod
    def _supported(cls, kind: str) -> str:
        if kind != "Deployment":
            raise ValueError("`Deployment` is expected: other kinds cannot share traffic by weight")
        return kind


class StepSpec(Spec):
    """Give the canary a share of the traffic and watch it."""

    weight: int = Field(ge=1, le=99, description="Percent of the traffic; 100 is the bake")
    hold: Duration = Field(gt=0, description="How long the canary is watched at this weight")
    analysis: AnalysisSpec | None = Field(None, description="Default: the app's analysis")


class CanarySpec(Spec):
    """Canary: rising weights, each judged; a bake at 100 %; then promotion (R18)."""

    steps: list[StepSpec] = Field(
        default_factory=lambda: [StepSpec(weight=weight, hold=300) for weight in (5, 25, 50)], min_length=1
    )
    bake: Duration = Field(600, gt=0, description="How long the canary is watched at 100 % before it is promoted")
    return_weights: list[int] = Field(
        default_factory=lambda: [50], description="Canary weights on the way back to stable during promotion"
    )
    retire_after: Duration = Field(30, description="The old track keeps running so long after it lost its traffic")
    auto_rollback: bool = Field(True, description="false: a failing verdict returns traffic and waits for a person")
    on_drift: Literal["reassert", "abort"] = "reassert"

    @field_validator("steps")
    @classmethod
    def _rising(cls, steps: list[StepSpec]) -> list[StepSpec]:
        weights = [step.weight for step in steps]
        if weights != sorted(set(weights)):
            raise ValueError(f"rising weights are expected, found {weights}")
        return steps


class StrategySpec(Spec):
    """How the new version takes over. One key names the strategy."""

    canary: CanarySpec = Field(default_factory=CanarySpec)


class ApprovalSpec(Spec):
    """Who may let a release into production, and how long it waits for them (R10)."""

    timeout: Duration = Field(86400, gt=0)
    self_approval: bool = Field(False, description="true: whoever started the release may approve it")


class AppEnvironment(Spec):
    """What differs for this app in one environment."""

    name: DnsName
    replicas: int | None = Field(None, ge=1, le=1000)
    env: dict[str, str] = Field(default_factory=dict)


class AppSpec(Spec):
    """One app: the file ``include/apps/<name>.yaml``."""

    schema_version: Literal[1] = 1
    name: DnsName
    description: str = ""
    owner: str = "release-managers"
    image: str | None = Field(None, description="Repository in the environments' registry; default: the app's name")
    version_scheme: Literal["semver", "date", "commit"] = "semver"
    version_header: str = Field("X-App-Version", description="Response header that carries the app's version")
    build: BuildSpec | None = None
    scan: ScanSpec = Field(default_factory=ScanSpec)
    workloads: list[WorkloadSpec] = Field(default_factory=lambda: [WorkloadSpec()], min_length=1, max_length=1)
    environments: list[AppEnvironment] = Field(
        default_factory=lambda: [AppEnvironment(name="staging"), AppEnvironment(name="production")], min_length=1
    )
    smoke_test: list[str] = Field(
        default_factory=lambda: ["/"], description="Paths that must answer 2xx with the version"
    )
    integration_test: list[str] = Field(
        default_factory=list,
        description="Command run in the new image against staging (BASE_URL and HOST in its environment)",
    )
    strategy: StrategySpec = Field(default_factory=StrategySpec)
    analysis: AnalysisSpec | str = Field("default", description="An analysis, or the name of one in `analyses/`")
    approval: ApprovalSpec = Field(default_factory=ApprovalSpec)
    when_busy: Literal["wait", "refuse"] = Field("wait", description="What a second release does while one is running")

    @field_validator("environments", mode="before")
    @classmethod
    def _names_are_enough(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [{"name": item} if isinstance(item, str) else item for item in value]


# --- environment ----------------------------------------------------------------------------------------------


class Connections(Spec):
    """Airflow connection ids."""

    platform: str = Field(description="Where the workloads run: a container host or a Kubernetes cluster")
    engine: str = Field(description="Container engine that builds images")
    registry: str
    prometheus: str


class RouterSpec(Spec):
    """What splits the traffic."""

    kind: Literal["traefik", "gateway_api", "istio", "replicas"] = "traefik"
    route: str | None = Field(
        None, description="Name of the HTTPRoute, VirtualService or Service; default: the app's name"
    )
    metrics_selector: str | None = Field(
        None, description='Extra PromQL label matchers for the router\'s metrics, like `cluster="eu"`'
    )


class AddressSpec(Spec):
    """Where the environment's traffic enters. ``{app}`` and ``{namespace}`` are filled in."""

    url: str = Field(pattern=r"^https?://")
    host: str | None = Field(None, description="Host header, when it differs from the URL")


class EnvironmentSpec(Spec):
    """One environment: the file ``include/config/<name>.yaml`` over ``base.yaml``."""

    schema_version: Literal[1] = 1
    name: DnsName
    platform: Literal["container_host", "kubernetes"]
    connections: Connections
    namespace: str = "default"
    router: RouterSpec = Field(default_factory=RouterSpec)
    address: AddressSpec
    approvers: list[str] = Field(default_factory=list)
    time_zone: str = "UTC"
    queue: str | None = Field(None, description="Airflow queue of the tasks that touch this environment")

    @model_validator(mode="after")
    def _router_fits(self) -> EnvironmentSpec:
        if (self.platform == "container_host") != (self.router.kind == "traefik"):
            raise ValueError(
                "router `traefik` with a container_host, or `gateway_api`, `istio` or `replicas` with kubernetes, "
                f"is expected, found `{self.router.kind}` with {self.platform}"
            )
        return self
