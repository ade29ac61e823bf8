"""What all notifiers have in common, and which one a file names."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from release_pipelines.adapters.notifiers.log import LogNotifier
from release_pipelines.adapters.notifiers.mail import MailNotifier
from release_pipelines.adapters.notifiers.slack import SlackNotifier
from release_pipelines.adapters.notifiers.webhook import WebhookNotifier
from release_pipelines.features.notify import notifiers as notifications
from release_pipelines.features.notify.notifiers import misfit, named, notifier
from release_pipelines.features.notify.spec import NotifySpec
from tests.features.notify.conftest import NOTICE

SPECS = {
    "log": NotifySpec(kind="log"),
    "webhook hook": NotifySpec(kind="webhook", connection="hook"),
    "slack team #releases": NotifySpec(kind="slack", connection="team", channel="#releases"),
    "mail a@b.org, c@d.org": NotifySpec(kind="mail", to=["a@b.org", "c@d.org"]),
}


def test_a_file_names_its_notifiers() -> None:
    made = [notifier(spec, NOTICE) for spec in SPECS.values()]
    assert [type(it) for it in made] == [LogNotifier, WebhookNotifier, SlackNotifier, MailNotifier]
    assert made[2].channel == "#releases"  # type: ignore[attr-defined]
    assert made[3].connection == "smtp_default"  # type: ignore[attr-defined]


def test_receivers_that_differ_are_called_differently() -> None:
    assert [named(spec) for spec in SPECS.values()] == list(SPECS)


@pytest.mark.parametrize(
    ("spec", "connection", "why"),
    [
        (SPECS["log"], None, None),
        (SPECS["webhook hook"], {"conn_type": "http"}, None),
        (SPECS["webhook hook"], None, "there is no Airflow connection `hook`"),
        (SPECS["mail a@b.org, c@d.org"], None, "there is no Airflow connection `smtp_default`"),
        (SPECS["slack team #releases"], {"conn_type": "slack"}, None),
        (NotifySpec(kind="slack", connection="team"), {"conn_type": "slack"}, "`channel` is missing: the connection"),
        (NotifySpec(kind="slack", connection="team"), {"conn_type": "slackwebhook"}, None),
    ],
)
def test_a_receiver_that_cannot_be_told_is_known_beforehand(
    spec: NotifySpec, connection: dict[str, str] | None, why: str | None, connect: Any
) -> None:
    if connection:
        connect(spec.connection, **connection)
    said = misfit(spec)
    assert said is None if why is None else said is not None and said.startswith(why)


def test_a_provider_that_is_missing_is_known_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "find_spec", lambda _: None)
    assert misfit(SPECS["slack team #releases"]) == (
        "apache-airflow-providers-slack is not installed: install `release-pipelines[notify]`"
    )


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
