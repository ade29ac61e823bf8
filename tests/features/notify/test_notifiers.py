"""What all notifiers have in common, and which one a file names."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.adapters.notifiers import _provider
from release_pipelines.airflow.notifiers.log import LogNotifier
from release_pipelines.airflow.notifiers.mail import MailNotifier
from release_pipelines.airflow.notifiers.slack import SlackNotifier
from release_pipelines.airflow.notifiers.webhook import WebhookNotifier
from release_pipelines.features.notify.notifiers import notifier, obstacle
from release_pipelines.features.notify.spec import NotifySpec
from tests.receivers import NOTICE

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
    assert [spec.receiver for spec in SPECS.values()] == list(SPECS)


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
    said = obstacle(spec)
    assert said is None if why is None else said is not None and said.startswith(why)


def test_a_provider_that_is_missing_is_known_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_provider, "find_spec", lambda _: None)
    assert obstacle(SPECS["slack team #releases"]) == (
        "apache-airflow-providers-slack is not installed: install `release-pipelines[notify]`"
    )
