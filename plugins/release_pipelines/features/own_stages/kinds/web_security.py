"""What the answers of the running app say about its security: headers, cookies, certificate, versions of TLS."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.finding import Severity
from release_pipelines.core.model.units import Duration
from release_pipelines.core.ports.own_stage import OwnStage

Path = Annotated[str, Field(pattern=r"^/")]


class WebSecurityOptions(Value):
    """Which answers are looked at, and what is too bad."""

    paths: list[Path] = Field(default_factory=lambda: ["/"], min_length=1)
    block_on: Severity = Field("high", description="Findings from this severity on fail the stage")
    accept: list[str] = Field(
        default_factory=list,
        description="Rules that do not count here, like `x-frame-options`; they are told all the same",
    )
    certificate_lasts: Duration = Field(14 * 86400, ge=0, description="A certificate that ends sooner is found")


class WebSecurity(OwnStage):
    """``web_security: {paths: [/, /cart], block_on: medium}``."""

    options = WebSecurityOptions

    def texts(self, options: WebSecurityOptions) -> Iterator[str]:
        yield from options.paths

    def operator(self, task_id: str, options: WebSecurityOptions, given: Mapping[str, Any]) -> Any:
        from release_pipelines.features.own_stages.operators.looking import WebSecurityStageOperator

        return WebSecurityStageOperator(task_id=task_id, options=options, **given)


OWN_STAGE = WebSecurity()
