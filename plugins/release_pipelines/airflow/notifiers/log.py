"""Airflow's notifier that writes into the task's log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release_pipelines.adapters.notifiers.log import level_of, lines_of
from release_pipelines.airflow.notifiers.base import ReleaseNotifier

if TYPE_CHECKING:
    from airflow.sdk import Context


class LogNotifier(ReleaseNotifier):
    """Writes the notice, and what is to be done, into the log; what is urgent as an error."""

    def notify(self, context: Context) -> None:
        for line in lines_of(self.notice):
            self.log.log(level_of(self.notice), "%s", line)

    async def async_notify(self, context: Context) -> None:
        self.notify(context)
