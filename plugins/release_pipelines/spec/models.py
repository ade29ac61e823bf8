"""What a team writes: app and environment files as pydantic models. Analyses and strategies have modules of their own."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from release_pipelines.spec.analysis import AnalysisSpec
from release_pipelines.spec.base import DnsName, Duration, Spec
from release_pipelines.spec.notify import NotifySpec
from release_pipelines.spec.strategy import StrategySpec


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
    smoke_test: list[Annotated[str, Field(pattern=r"^/")]] = Field(
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
    engine: str | None = Field(None, description="Container engine that builds images; needed by apps with `build`")
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
    preview: str | None = Field(
        None, description="Host of the preview in a blue-green release; default: `preview.` before `host`"
    )


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
    notify: list[NotifySpec] = Field(
        default_factory=lambda: [NotifySpec(kind="log")], description="Who is told what a release came to"
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # none, no name at all, a folder of zones
            raise ValueError("a time zone like Europe/Berlin is expected") from None
        return name

    @model_validator(mode="after")
    def _router_fits(self) -> EnvironmentSpec:
        if (self.platform == "container_host") != (self.router.kind == "traefik"):
            raise ValueError(
                "router `traefik` with a container_host, or `gateway_api`, `istio` or `replicas` with kubernetes, "
                f"is expected, found `{self.router.kind}` with {self.platform}"
            )
        return self
