"""The file `include/apps/<name>.yaml`."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field, field_validator

from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.base import Value
from release_pipelines.core.model.target import Workload
from release_pipelines.core.model.units import DnsName, Duration
from release_pipelines.spec.keys import with_feature_keys
from release_pipelines.spec.strategy import StrategySettings

T = TypeVar("T")


class AppEnvironment(Value):
    """What differs for this app in one environment."""

    name: DnsName
    replicas: int | None = Field(None, ge=1, le=1000)
    env: dict[str, str] = Field(default_factory=dict)


class ApprovalSpec(Value):
    """Who may let a release into production, and how long it waits for them (R10)."""

    later: ClassVar[frozenset[str]] = frozenset({"valid_for"})

    timeout: Duration = Field(86400, gt=0)
    valid_for: Duration = Field(
        35 * 86400, gt=0, description="How long an approval holds whose release waits for its window"
    )
    self_approval: bool = Field(False, description="true: whoever started the release may approve it")


class _App(Value):
    """One app: the file ``include/apps/<name>.yaml``."""

    schema_version: Literal[1] = 1
    name: DnsName
    description: str = ""
    owner: str = "release-managers"
    image: str | None = Field(None, description="Repository in the environments' registry; default: the app's name")
    version_scheme: Literal["semver", "date", "commit"] = "semver"
    version_header: str = Field("X-App-Version", description="Response header that carries the app's version")
    workloads: list[Workload] = Field(default_factory=lambda: [Workload()], min_length=1, max_length=1)
    environments: list[AppEnvironment] = Field(
        default_factory=lambda: [AppEnvironment(name="staging"), AppEnvironment(name="production")], min_length=1
    )
    smoke_test: list[Annotated[str, Field(pattern=r"^/")]] = Field(
        default_factory=lambda: ["/"], description="Paths that must answer 2xx with the version"
    )
    strategy: StrategySettings = Field(default_factory=StrategySettings)
    analysis: Analysis | str = Field("default", description="An analysis, or the name of one in `analyses/`")
    approval: ApprovalSpec = Field(default_factory=ApprovalSpec)
    when_busy: Literal["wait", "refuse"] = Field("wait", description="What a second release does while one is running")

    @field_validator("environments", mode="before")
    @classmethod
    def _names_are_enough(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [{"name": item} if isinstance(item, str) else item for item in value]

    def part(self, key: str, kind: type[T]) -> T | None:
        """The value of a feature's key, if it is of this type; None where the file has none."""
        value = getattr(self, key, None)
        return value if isinstance(value, kind) else None


if TYPE_CHECKING:

    class AppSpec(_App):
        """With the keys of all features."""

else:
    _App.__name__ = "AppSpec"
    AppSpec = with_feature_keys(_App, "app_keys")
