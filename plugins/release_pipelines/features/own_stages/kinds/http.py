"""A question over HTTP, asked again and again until the answer is as expected."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.source import without_login
from release_pipelines.core.model.units import Duration
from release_pipelines.core.ports.own_stage import OwnStage


def _without_login(url: str) -> str:
    if without_login(url) != url:
        raise ValueError(
            "an address without user and password, or `connection`, which keeps them, is expected, found one with them"
        )
    return url


class HttpOptions(Value):
    """A GET that passes with the status, and with the value in its JSON, that are expected."""

    path: str = Field("/", pattern="^/", description="At the environment's address, or at the connection's")
    url: Annotated[str, AfterValidator(_without_login)] | None = Field(
        None, pattern="^https?://", description="Another address, asked without credentials, instead of `path`"
    )
    connection: str | None = Field(
        None, description="Airflow connection of another service: its address and credentials; these go nowhere else"
    )
    status: list[int] | None = Field(None, min_length=1, description="Statuses that pass; default: 200 to 299")
    field: str | None = Field(
        None, min_length=1, description="A value in the JSON of the answer, like `checks.0.state`; it is handed on"
    )
    equals: str | int | float | bool | None = Field(None, description="What that value has to be")
    contains: str | None = Field(
        None, min_length=1, description="Text that the value, or else the answer, has to have in it"
    )
    interval: Duration = Field(5, ge=1, description="Pause between two questions")

    @model_validator(mode="after")
    def _fits(self) -> "HttpOptions":
        if self.url and (self.connection or self.path != "/"):
            raise ValueError("`url` alone is expected, or `path`, with or without `connection`")
        if self.equals is not None and self.field is None:
            raise ValueError("`field`, whose value is compared, is expected beside `equals`")
        return self


class Http(OwnStage):
    """``http: {path: /ready, field: state, equals: up}``."""

    options = HttpOptions

    def operator(self, task_id: str, options: HttpOptions, given: Mapping[str, Any]) -> Any:
        from release_pipelines.features.own_stages.operators.http import HttpStageOperator

        return HttpStageOperator(task_id=task_id, options=options, **given)


OWN_STAGE = Http()
