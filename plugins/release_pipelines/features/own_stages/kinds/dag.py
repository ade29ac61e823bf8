"""A run of another DAG, which the environment's file has to allow."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from release_pipelines.core.allowed import is_allowed
from release_pipelines.core.model.base import Value
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.ports.own_stage import OwnStage, OwnStagePlace, texts_in


class DagOptions(Value):
    """A run of another DAG, that passes when it succeeds."""

    dag_id: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    conf: dict[str, Any] = Field(default_factory=dict, description="Its parameters, with placeholders")
    result: str | None = Field(
        None, description="The task of that run whose returned value is handed on, as `{stages.<name>.result}`"
    )


class Dag(OwnStage):
    """``dag: {dag_id: warm_caches, conf: {version: "{version}"}}``."""

    options = DagOptions

    def mistakes(self, where: str, options: DagOptions, place: OwnStagePlace) -> Iterator[Mistake]:
        if not is_allowed(options.dag_id, place.dags_allowed):
            allowed = ", ".join(place.dags_allowed) or "there is none"
            yield (
                f"{where}.dag_id",
                f"`{options.dag_id}`",
                f"what `dags_allowed` in {place.environment}.yaml allows: {allowed}",
            )

    def texts(self, options: DagOptions) -> Iterator[str]:
        yield from texts_in(options.conf)

    def operator(self, task_id: str, options: DagOptions, given: Mapping[str, Any]) -> Any:
        from release_pipelines.features.own_stages.operators.dag import DagStageOperator

        return DagStageOperator(task_id=task_id, options=options, **given)


OWN_STAGE = Dag()
