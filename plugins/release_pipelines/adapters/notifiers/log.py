"""The notice in the task's log: the receiver that is always there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from release_pipelines.core.ports.notifier import Notifier

if TYPE_CHECKING:
    from release_pipelines.core.model.notice import Notice

GOOD = ("released", "no_op")


def level_of(notice: Notice) -> int:
    """The log level that the outcome is worth."""
    if notice.urgent:
        return logging.ERROR
    return logging.INFO if notice.outcome in GOOD else logging.WARNING


def lines_of(notice: Notice) -> list[str]:
    """What happened, and what is to be done."""
    return [f"{notice.title}. {notice.sentence}", *(f"{n}. {step}" for n, step in enumerate(notice.what_to_do, 1))]


NOTIFIER = Notifier("release_pipelines.airflow.notifiers.log.LogNotifier")
