"""A kind of stage: what a content delivery network keeps of the app is thrown away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.ports.own_stage import OwnStage, OwnStagePlace


class PurgeOptions(Value):
    zone: str
    fails: bool = False


class Purge(OwnStage):
    options = PurgeOptions

    def mistakes(self, where: str, options: PurgeOptions, place: OwnStagePlace) -> Iterator[Mistake]:
        if options.zone == "all" and place.last:
            yield f"{where}.zone", "`all`", f"one zone: this is {place.environment}"

    def operator(self, task_id: str, options: PurgeOptions, given: Mapping[str, Any]) -> Any:
        from acme_release.operators import PurgeStageOperator

        return PurgeStageOperator(task_id=task_id, options=options, **given)


OWN_STAGE = Purge()
