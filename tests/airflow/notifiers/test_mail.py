"""A mail carries the notice and the incident report."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from release_pipelines.airflow.notifiers.mail import MailNotifier
from release_pipelines.core.ports.notifier import NotSent
from tests.receivers import NOTICE, Mailbox


@pytest.fixture(params=["notify", "async_notify"])
def send(request: pytest.FixtureRequest) -> Any:
    def sent(notifier: MailNotifier) -> None:
        if request.param == "notify":
            notifier.notify({})
        else:
            asyncio.run(notifier.async_notify({}))

    return sent


def smtp(connect: Any, port: int, **extra: Any) -> str:
    plain = {"disable_ssl": True, "disable_tls": True, "from_email": "releases@example.org", "retry_limit": 0}
    return str(connect("post", conn_type="smtp", host="127.0.0.1", port=port, extra={**plain, **extra}))


def test_a_mail_says_what_happened_and_carries_the_report(mailbox: Mailbox, connect: Any, send: Any) -> None:
    send(MailNotifier(notice=NOTICE, connection=smtp(connect, mailbox.port), to=["a@example.org", "b@example.org"]))
    [(to, mail)] = mailbox.mails
    assert to == ["a@example.org", "b@example.org"]
    assert (mail["Subject"], mail["From"]) == (NOTICE.title, "releases@example.org")
    assert mail["Importance"] is None
    text = mail.get_payload()[0].get_payload(decode=True).decode()  # type: ignore[union-attr, index]
    for fact in (NOTICE.sentence, "alice", "bob", str(NOTICE.url), NOTICE.what_to_do[0], str(NOTICE.report)):
        assert fact in text, fact


def test_a_mail_that_calls_a_person_is_important(mailbox: Mailbox, connect: Any, send: Any) -> None:  # R8
    failed = NOTICE.model_copy(update={"outcome": "rollback_failed"})
    send(MailNotifier(notice=failed, connection=smtp(connect, mailbox.port), to=["a@example.org"]))
    mail = mailbox.mails[0][1]
    assert mail["Subject"] == "A person is needed: shop 1.1.0 in production: rollback failed"
    assert mail["Importance"] == "high"


def test_what_people_wrote_is_text(mailbox: Mailbox, connect: Any, send: Any) -> None:
    notice = NOTICE.model_copy(update={"sentence": "<script>x</script> {{ conn.post.password }}", "report": "<b>"})
    send(MailNotifier(notice=notice, connection=smtp(connect, mailbox.port), to=["a@example.org"]))
    text = mailbox.mails[0][1].get_payload()[0].get_payload(decode=True).decode()  # type: ignore[union-attr, index]
    assert "&lt;script&gt;x&lt;/script&gt; {{ conn.post.password }}" in text
    assert "<pre>&lt;b&gt;</pre>" in text


def test_a_full_mailbox_is_told_in_a_sentence(mailbox: Mailbox, connect: Any, send: Any) -> None:
    mailbox.full = True
    with pytest.raises(NotSent, match="mail by `post` was not sent: SMTPDataError"):
        send(MailNotifier(notice=NOTICE, connection=smtp(connect, mailbox.port), to=["a@example.org"]))


def test_a_server_that_is_away_is_told_in_a_sentence(connect: Any, send: Any) -> None:
    with pytest.raises(NotSent, match="mail by `post` was not sent: "):
        send(MailNotifier(notice=NOTICE, connection=smtp(connect, 1), to=["a@example.org"]))


def test_a_connection_without_a_sender_is_told_in_a_sentence(mailbox: Mailbox, connect: Any, send: Any) -> None:
    with pytest.raises(NotSent, match="`from_email` is missing in the extra of the Airflow connection `post`"):
        send(MailNotifier(notice=NOTICE, connection=smtp(connect, mailbox.port, from_email=None), to=["a@example.org"]))


def test_a_connection_that_is_missing_is_named(send: Any) -> None:
    with pytest.raises(NotSent, match="there is no Airflow connection `smtp_default`"):
        send(MailNotifier(notice=NOTICE, to=["a@example.org"]))


def test_without_the_provider_the_sentence_says_what_to_install(
    mailbox: Mailbox, connect: Any, send: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "airflow.providers.smtp.hooks.smtp", None)
    with pytest.raises(NotSent, match=r"install `release-pipelines\[notify\]`"):
        send(MailNotifier(notice=NOTICE, connection=smtp(connect, mailbox.port), to=["a@example.org"]))
