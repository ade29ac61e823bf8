"""The file `include/config/<name>.yaml` over `base.yaml`."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, field_validator, model_validator

from release_pipelines.core.model.base import Value, reading_what_is_stored
from release_pipelines.core.model.choice import Choice
from release_pipelines.core.model.person import Person, as_word
from release_pipelines.core.model.target import RouterSettings
from release_pipelines.core.model.units import (
    DnsName,
    Duration,
)
from release_pipelines.core.ports.platform import PLATFORMS, PlatformKind
from release_pipelines.core.ports.router import ROUTERS, router_of
from release_pipelines.spec.keys import with_feature_keys

T = TypeVar("T")


class Connections(Value):
    """Airflow connection ids."""

    platform: str = Field(description="Where the workloads run: a container host or a Kubernetes cluster")
    engine: str | None = Field(None, description="Container engine that builds images; needed by apps with `build`")
    registry: str
    prometheus: str


class AddressSpec(Value):
    """Where the environment's traffic enters. ``{app}`` and ``{namespace}`` are filled in."""

    later: ClassVar[frozenset[str]] = frozenset({"settles_within"})

    url: str = Field(pattern=r"^https?://")
    host: str | None = Field(None, description="Host header, when it differs from the URL")
    preview: str | None = Field(
        None, description="Host of the preview in a blue-green release; default: `preview.` before `host`"
    )
    settles_within: Duration | None = Field(
        None,
        description="Time from a change of the traffic until all of it follows, as a cloud's load balancer needs it: so long the "
        "old version may still answer; default: the router's, 10 s",
    )


class _Environment(Value):
    """One environment: the file ``include/config/<name>.yaml`` over ``base.yaml``."""

    schema_version: Literal[1] = 1
    name: DnsName
    platform: Annotated[str, Choice(PLATFORMS)]
    connections: Connections
    namespace: str = "default"
    router: RouterSettings = Field(default_factory=RouterSettings)
    address: AddressSpec
    approvers: list[Annotated[str | Person, BeforeValidator(as_word)]] = Field(
        default_factory=list,
        description="Who may approve: user names, ids or e-mails of Airflow's auth manager, or several of them of one person",
    )
    time_zone: str = "UTC"
    queue: str | None = Field(None, description="Airflow queue of the tasks that touch this environment")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # none, no name at all, a folder of zones
            raise ValueError("a time zone like Europe/Berlin is expected") from None
        return name

    @model_validator(mode="after")
    def _router_fits(self) -> "_Environment":
        if reading_what_is_stored():
            return self
        platform = PLATFORMS.get(self.platform)
        if not platform.fits(router_of(self.router)):
            raise ValueError(
                f"router {' or '.join(_routers_of(platform))} with {self.platform} is expected, "
                f"found `{self.router.kind}` with {self.platform}"
            )
        return self

    def part(self, key: str, kind: type[T]) -> T | None:
        """The value of a feature's key, if it is of this type; None where the file has none."""
        value = getattr(self, key, None)
        return value if isinstance(value, kind) else None


def _routers_of(platform: PlatformKind) -> list[str]:
    """The routers that fit a platform; one that cannot be loaded is no choice."""
    return [f"`{name}`" for name, router in ROUTERS.usable() if platform.fits(router)]


if TYPE_CHECKING:

    class EnvironmentSpec(_Environment):
        """With the keys of all features."""

else:
    _Environment.__name__ = "EnvironmentSpec"
    EnvironmentSpec = with_feature_keys(_Environment, "environment_keys")
