"""A webhook gets the notice as JSON, and may be busy for a while."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from release_pipelines.adapters.notifiers import webhook
from release_pipelines.airflow.notifiers.webhook import WebhookNotifier
from release_pipelines.core.ports.notifier import NotSent
from tests.receivers import NOTICE, Receiver


@pytest.fixture(params=["notify", "async_notify"])
def send(request: pytest.FixtureRequest) -> Any:
    """Send a notice in the way of a task, and in the way of a trigger."""

    def sent(notifier: WebhookNotifier) -> None:
        if request.param == "notify":
            notifier.notify({})
        else:
            asyncio.run(notifier.async_notify({}))

    return sent


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "PAUSE", 0.01)


def test_the_notice_arrives_as_json_and_no_content_is_a_success(receiver: Receiver, connect: Any, send: Any) -> None:
    where = connect("hook", conn_type="http", host=f"{receiver.url}/releases?team=shop", password="token")
    send(WebhookNotifier(notice=NOTICE, connection=where))
    [(path, headers, body)] = receiver.requests
    assert path == "/releases?team=shop"
    assert (headers["content-type"], headers["authorization"]) == ("application/json", "Bearer token")
    assert body == {
        "schema_version": 1,
        "outcome": "rolled_back",
        "title": "shop 1.1.0 in production: rolled back",
        "sentence": NOTICE.sentence,
        "urgent": False,
        "app": "shop",
        "version": "1.1.0",
        "environment": "production",
        "release": "release_shop/one#0",
        "requester": "alice",
        "approver": "bob",
        "url": "https://airflow.example/dags/release_shop/runs/one",
        "what_to_do": ["Nothing is urgent: production is served."],
        "report": "# shop 1.1.0 in production: rolled back\n",
    }


def test_headers_of_the_connection_are_sent(receiver: Receiver, connect: Any, send: Any) -> None:
    where = connect("hook", conn_type="http", host=receiver.url, extra={"headers": {"X-Team": "shop"}})
    send(WebhookNotifier(notice=NOTICE, connection=where))
    assert receiver.requests[0][1]["x-team"] == "shop"


def test_a_busy_receiver_is_asked_again(receiver: Receiver, connect: Any, send: Any) -> None:
    receiver.answers = [(503, {}, b"busy"), (429, {"Retry-After": "0"}, b"slow down"), (204, {}, b"")]
    send(WebhookNotifier(notice=NOTICE, connection=connect("hook", conn_type="http", host=receiver.url)))
    assert len(receiver.requests) == 3


def test_the_pause_is_what_the_receiver_asks_for(
    receiver: Receiver, connect: Any, send: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(webhook, "pause", lambda attempt, after: asked.append(after) or 0.0)
    receiver.answers = [(503, {"Retry-After": "17"}, b""), (503, {}, b""), (200, {}, b"ok")]
    send(WebhookNotifier(notice=NOTICE, connection=connect("hook", conn_type="http", host=receiver.url)))
    assert asked == [17.0, None]


def test_a_receiver_that_stays_away_is_told_in_a_sentence(connect: Any, send: Any) -> None:
    where = connect("hook", conn_type="http", host="http://127.0.0.1:1/secret-token")
    with pytest.raises(NotSent) as caught:
        send(WebhookNotifier(notice=NOTICE, connection=where))
    assert str(caught.value) == "webhook `hook` did not answer (ConnectError)"  # R11: not its address


def test_a_receiver_that_stays_busy_is_not_asked_for_ever(receiver: Receiver, connect: Any, send: Any) -> None:
    receiver.answers = [(500, {}, b"")]
    with pytest.raises(NotSent, match="webhook `hook` answered with status 500"):
        send(WebhookNotifier(notice=NOTICE, connection=connect("hook", conn_type="http", host=receiver.url)))
    assert len(receiver.requests) == webhook.TRIES


def test_what_another_try_cannot_mend_is_tried_once(receiver: Receiver, connect: Any, send: Any) -> None:
    receiver.answers = [(403, {}, b"")]
    with pytest.raises(NotSent, match="status 403"):
        send(WebhookNotifier(notice=NOTICE, connection=connect("hook", conn_type="http", host=receiver.url)))
    assert len(receiver.requests) == 1


def test_a_connection_that_is_missing_is_named(send: Any) -> None:
    with pytest.raises(NotSent, match="there is no Airflow connection `hook`"):
        send(WebhookNotifier(notice=NOTICE, connection="hook"))
