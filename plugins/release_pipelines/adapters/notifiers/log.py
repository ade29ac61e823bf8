"""The notice in the task's log: the receiver that is always there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from release_pipelines.adapters.notifiers.base import ReleaseNotifier

if TYPE_CHECKING:
    from airflow.sdk import Context

GOOD = ("released", "no_op")


class LogNotifier(ReleaseNotifier):
    """Writes the notice, and what is to be done, into the log; what is urgent as an error."""

    def notify(self, context: Context) -> None:
        it = self.notice
        level = logging.ERROR if it.urgent else logging.INFO if it.outcome in GOOD else logging.WARNING
        lines = [f"{it.title}. {it.sentence}", *(f"{n}. {step}" for n, step in enumerate(it.what_to_do, 1))]
        for line in lines:
            self.log.log(level, "%s", line)

    async def async_notify(self, context: Context) -> None:
        self.notify(context)
