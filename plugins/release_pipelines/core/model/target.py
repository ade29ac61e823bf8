"""One app in one environment, with its workload and its router."""

import math
from typing import Annotated, Any, ClassVar

from pydantic import (
    BeforeValidator,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)

from release_pipelines.core.model.base import Stored, Value
from release_pipelines.core.model.choice import Choice
from release_pipelines.core.model.units import (
    DnsName,
    Duration,
)
from release_pipelines.core.ports.metrics import METRIC_DIALECTS
from release_pipelines.core.ports.platform import PLATFORMS
from release_pipelines.core.ports.router import ROUTERS


class Update(Value):
    """How many replicas a rolling update replaces at a time: numbers, or shares like ``25%``."""

    max_surge: int | str = 1
    max_unavailable: int | str = 0

    def room(self, replicas: int) -> tuple[int, int]:
        """How many of so many replicas may be more, and how many fewer: a share of more is rounded up, of fewer down."""

        def count(value: int | str) -> float:
            return replicas * int(value[:-1]) / 100 if isinstance(value, str) else float(value)

        surge, unavailable = math.ceil(count(self.max_surge)), math.floor(count(self.max_unavailable))
        return (surge, unavailable) if surge or unavailable else (1, 0)


def batch_size(replicas: int, share: int) -> int:
    """How many of so many replicas are a share in percent; at least one."""
    return max(1, math.ceil(replicas * share / 100))


def _as_text(value: Any) -> Any:
    """A number without a unit is a wrong size, and not a text without its quotes."""
    return str(value) if isinstance(value, (int, float)) else value


Size = Annotated[str, Field(pattern=r"^\d+(Ki|Mi|Gi)$"), BeforeValidator(_as_text)]


class Workload(Value):
    """One thing that runs."""

    name: DnsName | None = Field(None, description="Default: the app's name")
    kind: str = "Deployment"
    container: str | None = Field(None, description="Default: the one called like the workload, or the only one")
    port: int = Field(8080, ge=1, le=65535)
    health: str = Field("/health", pattern=r"^/", description="Answers 2xx when a replica is ready")
    replicas: int = Field(2, ge=1, le=1000)
    cpu: float | None = Field(None, gt=0, description="Limit in cores")
    memory: Size | None = Field(None, description="Limit, like 256Mi")
    env: dict[str, str] = Field(default_factory=dict)
    ready_timeout: Duration = 120

    @field_validator("kind")
    @classmethod
    def _supported(cls, kind: str) -> str:
        if kind != "Deployment":
            raise ValueError("`Deployment` is expected: other kinds cannot share traffic by weight")
        return kind

    @model_serializer(mode="wrap")
    def _gives_unknown(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        """Without what nobody gave: what stands already counts more than a default, also for whoever reads the JSON."""
        stated: dict[str, Any] = super()._gives_unknown(handler, info)
        left_out = type(self).model_fields.keys() - self.model_fields_set
        return {key: it for key, it in stated.items() if key not in left_out}


class RouterSettings(Value):
    """What splits the traffic."""

    kind: Annotated[str, Choice(ROUTERS)] = "traefik"
    route: str | None = Field(
        None, description="Name of the HTTPRoute, GRPCRoute, VirtualService or Service; default: the app's name"
    )
    dialect: Annotated[str, Choice(METRIC_DIALECTS)] | None = Field(
        None, description="Whose metrics count the requests; default: those of the router's own data plane"
    )
    metrics_selector: str | None = Field(
        None, description='Extra PromQL label matchers for the router\'s metrics, like `cluster="eu"`'
    )


class Target(Stored):
    """One app in one environment: all that a platform, a metric query or a smoke test needs to know. Frozen at preflight."""

    later: ClassVar[frozenset[str]] = frozenset({"settles_within"})

    app: str
    environment: str
    platform: Annotated[str, Choice(PLATFORMS)]
    platform_connection: str
    registry_connection: str
    prometheus_connection: str
    namespace: str = "default"
    workload: Workload = Field(description="With its name filled in and the environment's replicas and env merged")
    router: RouterSettings = Field(description="With its route filled in")
    url: str = Field(description="Where the traffic enters, like http://127.0.0.1:8000")
    host: str | None = Field(None, description="Host header that selects the app")
    settles_within: float | None = Field(
        None, description="Seconds from a change until the data plane follows it; None: as long as the router says"
    )
    preview: bool = Field(False, description="A release here begins as a preview (blue-green)")
    preview_host: str | None = Field(None, description="Host header that selects the preview of a blue-green release")
    update: Update | None = Field(None, description="How stable is rolled; None: as the platform does by itself")
    version_header: str = "X-App-Version"

    def address(self, path: str) -> str:
        """Full address of a path where the traffic enters."""
        return self.url.rstrip("/") + path
