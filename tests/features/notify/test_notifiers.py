"""What all notifiers have in common, and which one a file names."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from release_pipelines.adapters.notifiers import _provider
from release_pipelines.airflow.notifiers.base import ReleaseNotifier
from release_pipelines.airflow.notifiers.log import LogNotifier
from release_pipelines.airflow.notifiers.mail import MailNotifier
from release_pipelines.airflow.notifiers.slack import SlackNotifier
from release_pipelines.airflow.notifiers.webhook import WebhookNotifier
from release_pipelines.core import seams
from release_pipelines.core.model.base import Value
from release_pipelines.core.model.notice import Notice
from release_pipelines.core.ports.notifier import Notifier
from release_pipelines.features.notify.operators import notifier, obstacle
from release_pipelines.features.notify.spec import NotifySpec, named
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
    assert [named(spec) for spec in SPECS.values()] == list(SPECS)


@pytest.mark.parametrize(
    ("spec", "connection", "why"),
    [
        (SPECS["log"], None, None),
        (SPECS["webhook hook"], {"conn_type": "http", "host": "hooks.example.org"}, None),
        (SPECS["webhook hook"], {"conn_type": "http"}, "The Airflow connection `hook` has no host"),
        (
            SPECS["webhook hook"],
            {"conn_type": "hook", "host": "a.org", "password": "x"},
            "The Airflow connection `hook` has c",
        ),
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


class PagerOptions(Value):
    urgency: Literal["low", "high"]


@pytest.fixture
def pager(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notifier of another package."""
    sender = f"{__name__}.PagerNotifier"
    entry = EntryPoint("pager", __name__, "release_pipelines.notifiers")
    monkeypatch.setattr(
        seams, "extensions", lambda: {"release_pipelines.notifiers": {"pager": [seams.Extension(entry, "acme")]}}
    )
    monkeypatch.setattr(EntryPoint, "load", lambda _: Notifier(sender, options=PagerOptions))
    seams._loaded.cache_clear()


class PagerNotifier(ReleaseNotifier):
    def __init__(self, *, options: PagerOptions, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.options = options


@pytest.mark.usefixtures("pager")
def test_a_notifier_of_another_package_has_options_of_its_own() -> None:
    spec = NotifySpec.model_validate({"kind": "pager", "options": {"urgency": "high"}})
    made = notifier(spec, NOTICE)
    assert isinstance(made, PagerNotifier)
    assert made.options == PagerOptions(urgency="high")
    assert named(spec) == "pager urgency=high"
    assert obstacle(spec) is None
    assert NotifySpec.model_validate(spec.model_dump(mode="json")) == spec


@pytest.mark.usefixtures("pager")
@pytest.mark.parametrize(
    ("options", "at"),
    [({"urgency": "none"}, ("options", "urgency")), ({}, ("options", "urgency")), ({"x": 1}, ("options", "x"))],
)
def test_a_mistake_in_the_options_is_told_where_it_stands(options: dict[str, Any], at: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        NotifySpec.model_validate({"kind": "pager", "options": options})
    assert at in [error["loc"] for error in caught.value.errors()]


@pytest.mark.usefixtures("pager")
def test_the_schema_shows_the_options_of_other_packages() -> None:
    schema = NotifySpec.model_json_schema()
    assert schema["properties"]["kind"]["enum"] == ["log", "webhook", "slack", "mail", "pager"]
    assert schema["allOf"][0]["if"] == {"properties": {"kind": {"const": "pager"}}}
    valid = Draft202012Validator(schema).is_valid
    assert valid({"kind": "pager", "options": {"urgency": "low"}})
    assert not valid({"kind": "pager", "options": {"urgency": "none"}})


def test_our_own_notifiers_take_no_options() -> None:
    assert "options" not in NotifySpec.model_json_schema()["properties"]
    with pytest.raises(ValidationError, match="no `options` beside `log` is expected, found `options`"):
        NotifySpec.model_validate({"kind": "log", "options": {"x": 1}})


def test_who_hears_of_what_becomes_of_releases_hears_the_same_of_trains() -> None:
    hears = NotifySpec(kind="log", on=["rollback_failed"])
    assert hears.hears_of("compensation_failed")
    assert not hears.hears_of("compensated")
    assert NotifySpec(kind="log", on=["rolled_back"]).hears_of("stopped")
    assert all(NotifySpec(kind="log").hears_of(it) for it in ("stopped", "compensated", "compensation_failed"))


def test_a_train_that_could_not_take_all_back_calls_a_person() -> None:
    said = {
        "sentence": "x",
        "app": "train_weekly",
        "version": "cart 2.1.0",
        "environment": "production",
        "release": "r",
    }
    failed = Notice(outcome="compensation_failed", **said)
    assert failed.urgent
    assert failed.title == "A person is needed: train_weekly cart 2.1.0 in production: compensation failed"
    assert not Notice(outcome="compensated", **said).urgent
