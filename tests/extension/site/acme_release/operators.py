"""The feature's tasks."""

from __future__ import annotations

from typing import Any

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.operator import ReleaseOperator


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
