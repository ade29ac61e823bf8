"""An Airflow operator by its import path, which the environment's file has to allow."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, field_validator

from release_pipelines.core.allowed import is_allowed
from release_pipelines.core.model.base import Value
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.ports.own_stage import OwnStage, OwnStagePlace

OURS = ("task_id", "dag", "task_group", "retries", "retry_delay", "trigger_rule", "execution_timeout", "queue")
"""Arguments that the release decides about."""


class OperatorOptions(Value):
    """An operator, imported when its task runs."""

    path: str = Field(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$", description="Like `acme.operators.PurgeCacheOperator`"
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="Its arguments, with placeholders")

    @field_validator("arguments")
    @classmethod
    def _not_ours(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        for name in arguments:
            if name in OURS or name.startswith("on_"):
                raise ValueError(
                    f"arguments of the operator itself are expected, found `{name}`, which the release decides about"
                )
        return arguments


class ByImportPath(OwnStage):
    """``operator: {path: acme.operators.PurgeCacheOperator, arguments: {zone: shop}}``."""

    options = OperatorOptions

    def mistakes(self, where: str, options: OperatorOptions, place: OwnStagePlace) -> Iterator[Mistake]:
        if not is_allowed(options.path, place.operators_allowed):
            allowed = ", ".join(place.operators_allowed) or "there is nothing"
            expected = f"what `operators_allowed` in {place.environment}.yaml allows: {allowed}"
            yield f"{where}.path", f"`{options.path}`", expected

    def operator(self, task_id: str, options: OperatorOptions, given: Mapping[str, Any]) -> Any:
        from datetime import timedelta

        from release_pipelines.features.own_stages.operators.imported import ImportedStageOperator

        limit = timedelta(seconds=given["timeout"])
        return ImportedStageOperator(task_id=task_id, options=options, execution_timeout=limit, **given)


OWN_STAGE = ByImportPath()
