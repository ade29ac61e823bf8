"""The notice as a mail."""

from __future__ import annotations

from html import escape
from typing import Any

from release_pipelines.adapters.notifiers._provider import provider_missing
from release_pipelines.core.model.notice import Notice
from release_pipelines.core.ports.notifier import Notifier

DEFAULT_CONNECTION = "smtp_default"
NO_PROVIDER = "mail needs the package apache-airflow-providers-smtp: install `release-pipelines[notify]`"


def mail_of(notice: Notice) -> dict[str, Any]:
    """Subject, text and headers, as the SMTP provider's hook takes them."""
    urgent = {"X-Priority": "1", "Importance": "high"} if notice.urgent else {}
    return {"subject": " ".join(notice.title.split()), "html_content": html_of(notice), "custom_headers": urgent}


def html_of(notice: Notice) -> str:
    """The mail's text. What people wrote is only text."""
    facts = "".join(
        f"<tr><th align=left>{escape(name)}</th><td>{escape(it)}</td></tr>" for name, it in notice.facts.items()
    )
    steps = "".join(f"<li>{escape(step)}</li>" for step in notice.what_to_do)
    parts = [
        f"<p><b>{escape(notice.sentence)}</b></p><table>{facts}</table>",
        f"<h3>What to do now</h3><ol>{steps}</ol>" if steps else "",
        f"<h3>Incident report</h3><pre>{escape(notice.report)}</pre>" if notice.report else "",
    ]
    return "\n".join(part for part in parts if part)


class Mail(Notifier):
    """Mails, by the SMTP provider."""

    def missing(self) -> str | None:
        """Whether the provider is installed."""
        return provider_missing("smtp")


NOTIFIER = Mail(
    "release_pipelines.airflow.notifiers.mail.MailNotifier",
    needs=("to",),
    takes=("connection",),
    default_connection=DEFAULT_CONNECTION,
)
