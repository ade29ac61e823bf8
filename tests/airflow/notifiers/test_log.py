"""The log has the notice, as people wrote it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from release_pipelines.airflow.notifiers.log import LogNotifier
from tests.receivers import NOTICE


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is written into the log: level and line."""
    lines: list[tuple[str, str]] = []

    class Log:
        def log(self, level: int, line: str, *given: object) -> None:
            lines.append((logging.getLevelName(level), line % given))

    monkeypatch.setattr(LogNotifier, "log", Log())
    return lines


def test_airflow_renders_nothing_of_what_people_wrote(logged: list[tuple[str, str]]) -> None:  # R11
    notice = NOTICE.model_copy(update={"sentence": "Aborted: {{ conn.hook.password }}"})
    LogNotifier(notice=notice)({})  # as Airflow calls a notifier, templates and all
    assert logged[0] == ("WARNING", f"{notice.title}. Aborted: {{{{ conn.hook.password }}}}")


@pytest.mark.parametrize(
    ("outcome", "level"), [("released", "INFO"), ("rolled_back", "WARNING"), ("rollback_failed", "ERROR")]
)
def test_the_log_has_the_notice_and_what_to_do(outcome: str, level: str, logged: list[tuple[str, str]]) -> None:
    notice = NOTICE.model_copy(update={"outcome": outcome})
    asyncio.run(LogNotifier(notice=notice).async_notify({}))
    assert logged == [
        (level, f"{notice.title}. {notice.sentence}"),
        (level, "1. Nothing is urgent: production is served."),
    ]
