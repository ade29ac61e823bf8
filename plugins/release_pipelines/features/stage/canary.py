"""A canary's steps and its bake, said in numbers."""

from __future__ import annotations

from typing import Any, Literal

from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.hold import Hold
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.traffic import share_with
from release_pipelines.features.stage.operators import StageOperator


class CanaryStepOperator(StageOperator):
    """Give the canary its share of the traffic and judge it for a while.

    :param weight: percent of the traffic.
    :param hold: seconds that the canary is watched at that weight, or ``{"min", "max"}``: it ends early when the evidence is
        good enough.
    :param analysis: an :class:`~release_pipelines.core.model.analysis.Analysis` or its dict.
    :param on_drift: what to do when somebody else changes the weights: ``reassert`` or ``abort`` (R14).
    :param auto_rollback: False: a failing verdict returns the traffic, then waits for a person (R18).

    Other parameters, XCom and errors as :class:`~release_pipelines.features.stage.operators.StageOperator`.
    """

    last = False

    def __init__(
        self,
        *,
        task_id: str,
        weight: int,
        hold: float | dict[str, float] | Hold,
        analysis: Analysis | dict[str, Any],
        on_drift: Literal["reassert", "abort"] = "reassert",
        auto_rollback: bool = True,
        **kwargs: Any,
    ) -> None:
        stage = Stage(
            name=task_id.rsplit(".", 1)[-1],
            track="canary",
            traffic=share_with("canary", weight),
            hold=Hold.model_validate(hold),
            analysis=Analysis.model_validate(analysis),
            on_drift=on_drift,
            wait_for_person=not auto_rollback,
            last=self.last,
        )
        super().__init__(task_id=task_id, stage=stage, **kwargs)


class BakeOperator(CanaryStepOperator):
    """Give the canary all traffic and watch it: the last check before promotion, with the way back one write away (R18).

    :param hold: seconds that it is watched, or ``{"min", "max"}``.

    Other parameters, XCom and errors as :class:`CanaryStepOperator`. After a first release it watches stable.
    """

    last = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(weight=100, **kwargs)
