"""The feature's tasks."""

from __future__ import annotations

from typing import Any

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.operator import ReleaseOperator
from release_pipelines.core.model.own_stage import OwnStageResult
from release_pipelines.features.own_stages.operators.base import OwnStageOperator


class OpenTicketOperator(ReleaseOperator):
    """Announce the release."""

    template_fields = ("release",)

    def __init__(self, *, queue_name: str, release: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.queue_name = queue_name
        self.release = release

    def work(self, context: Any) -> dict[str, str]:
        HistoryHook().history().record_event(self.release, "ticket", f"opened in {self.queue_name}")
        return {"ticket": f"{self.queue_name}-1"}


class CloseTicketOperator(ReleaseOperator):
    """Take the announcement back."""

    template_fields = ("release",)

    def __init__(self, *, release: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.release = release

    def work(self, context: Any) -> None:
        HistoryHook().history().record_event(self.release, "ticket", "closed")


class TraceOperator(ReleaseOperator):
    """Write down that a place was passed."""

    template_fields = ("release",)

    def __init__(self, *, place: str, release: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.place = place
        self.release = release

    def work(self, context: Any) -> None:
        HistoryHook().history().record_event(self.release, "trace", self.place)


class PurgeStageOperator(OwnStageOperator):
    """Throw a zone away."""

    def run(self, context: Any, options: dict[str, Any], seconds: float) -> OwnStageResult:
        if options["fails"]:
            return OwnStageResult(succeeded=False, sentence=f"failed: zone {options['zone']} is locked")
        HistoryHook().history().record_event(self.release, "purged", f"zone {options['zone']}")
        return OwnStageResult(succeeded=True, sentence="passed: 3 pages", values={"pages": 3})
