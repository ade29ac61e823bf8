"""Slack gets the notice by an incoming webhook or by an API token, and what people wrote stays text."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

from release_pipelines.airflow.notifiers.slack import SlackNotifier
from release_pipelines.core.ports.notifier import NotSent
from tests.receivers import NOTICE, Receiver

OK = (200, {"Content-Type": "application/json"}, json.dumps({"ok": True}).encode())


@pytest.fixture(params=["notify", "async_notify"])
def send(request: pytest.FixtureRequest) -> Any:
    def sent(notifier: SlackNotifier) -> None:
        if request.param == "notify":
            notifier.notify({})
        else:
            asyncio.run(notifier.async_notify({}))

    return sent


def webhook(connect: Any, receiver: Receiver) -> str:
    return str(connect("team", conn_type="slackwebhook", host=receiver.url, password="T0/B0/secret"))


def test_an_incoming_webhook_gets_title_sentence_and_facts(receiver: Receiver, connect: Any, send: Any) -> None:
    receiver.answers = [(200, {}, b"ok")]
    send(SlackNotifier(notice=NOTICE, connection=webhook(connect, receiver)))
    [(path, _, body)] = receiver.requests
    assert path == "/T0/B0/secret"
    assert body["text"] == f"{NOTICE.title}. {NOTICE.sentence}"
    said = json.dumps(body["blocks"])
    for fact in (NOTICE.title, NOTICE.sentence, "alice", "bob", str(NOTICE.url), NOTICE.what_to_do[0]):
        assert fact in said, fact


def test_an_api_token_posts_into_the_channel(receiver: Receiver, connect: Any, send: Any) -> None:
    receiver.answers = [OK]
    where = connect("team", conn_type="slack", password="xoxb-1", extra={"base_url": f"{receiver.url}/api/"})
    send(SlackNotifier(notice=NOTICE, connection=where, channel="#releases"))
    [(path, headers, body)] = receiver.requests
    assert (path, headers["authorization"], body["channel"]) == (
        "/api/chat.postMessage",
        "Bearer xoxb-1",
        "#releases",
    )


def test_slacks_own_word_says_what_is_wrong(receiver: Receiver, connect: Any, send: Any) -> None:
    receiver.answers = [(200, {"Content-Type": "application/json"}, b'{"ok": false, "error": "channel_not_found"}')]
    where = connect("team", conn_type="slack", password="xoxb-1", extra={"base_url": f"{receiver.url}/api/"})
    with pytest.raises(NotSent) as caught:
        send(SlackNotifier(notice=NOTICE, connection=where, channel="#gone"))
    assert str(caught.value) == "Slack (`team`) did not take it: channel_not_found"


def test_a_refusal_keeps_the_webhooks_address_to_itself(receiver: Receiver, connect: Any, send: Any) -> None:  # R11
    receiver.answers = [(404, {}, b"no_team")]
    with pytest.raises(NotSent) as caught:
        send(SlackNotifier(notice=NOTICE, connection=webhook(connect, receiver)))
    assert str(caught.value) == "Slack (`team`) did not take it: status 404"


def test_slack_that_asks_for_patience_is_asked_again(receiver: Receiver, connect: Any, send: Any) -> None:
    receiver.answers = [(429, {"Retry-After": "0"}, b"ratelimited"), (200, {}, b"ok")]
    send(SlackNotifier(notice=NOTICE, connection=webhook(connect, receiver)))
    assert len(receiver.requests) == 2


def test_an_api_token_without_a_channel_is_a_sentence(connect: Any, send: Any) -> None:
    where = connect("team", conn_type="slack", password="xoxb-1")
    with pytest.raises(NotSent, match="`channel` is missing: the connection `team` posts with an API token"):
        send(SlackNotifier(notice=NOTICE, connection=where))


def test_without_the_provider_the_sentence_says_what_to_install(
    receiver: Receiver, connect: Any, send: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("airflow.providers.slack.hooks.slack_webhook", "slack_sdk.http_retry.builtin_handlers"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(NotSent, match=r"install `release-pipelines\[notify\]`"):
        send(SlackNotifier(notice=NOTICE, connection=webhook(connect, receiver)))
