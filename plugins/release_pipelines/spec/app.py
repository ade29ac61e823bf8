"""The file `include/apps/<name>.yaml`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.base import Value
from release_pipelines.core.model.target import Workload
from release_pipelines.core.model.units import (
    DnsName,
)
from release_pipelines.features.approval.spec import ApprovalSpec
from release_pipelines.features.build.spec import BuildSpec
from release_pipelines.features.scan.spec import ScanSpec
from release_pipelines.spec.strategy import StrategySettings


class AppEnvironment(Value):
    """What differs for this app in one environment."""

    name: DnsName
    replicas: int | None = Field(None, ge=1, le=1000)
    env: dict[str, str] = Field(default_factory=dict)


class AppSpec(Value):
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
    workloads: list[Workload] = Field(default_factory=lambda: [Workload()], min_length=1, max_length=1)
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
