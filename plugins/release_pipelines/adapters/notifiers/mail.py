"""The notice as a mail, by Airflow's SMTP provider."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from release_pipelines.adapters.notifiers.base import NotSent, ReleaseNotifier, missing

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.core.model.notice import Notice

NO_PROVIDER = "mail needs the package apache-airflow-providers-smtp: install `release-pipelines[notify]`"


class MailNotifier(ReleaseNotifier):
    """Sends the notice, with the incident report where there is one.

    :param notice: the :class:`~release_pipelines.core.model.notice.Notice` or its dict.
    :param to: addresses.
    :param connection: Airflow connection of type ``smtp``, with ``from_email`` in its extra.
    """

    def __init__(self, *, to: list[str], connection: str = "smtp_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.to = to
        self.connection = connection

    def notify(self, context: Context) -> None:
        try:
            BaseHook.get_connection(self.connection)
            with self._hook() as hook:
                self._sender(hook)
                hook.send_email_smtp(**self._mail())
        except Exception as error:
            raise self._said(error) from error

    async def async_notify(self, context: Context) -> None:
        try:
            await BaseHook.aget_connection(self.connection)
            async with self._hook() as hook:
                self._sender(hook)
                await hook.asend_email_smtp(**self._mail())
        except Exception as error:
            raise self._said(error) from error

    def _hook(self) -> Any:
        from airflow.providers.smtp.hooks.smtp import SmtpHook

        return SmtpHook(smtp_conn_id=self.connection)

    def _sender(self, hook: Any) -> None:
        if not hook.from_email:
            raise NotSent(f"`from_email` is missing in the extra of the Airflow connection `{self.connection}`")

    def _mail(self) -> dict[str, Any]:
        urgent = {"X-Priority": "1", "Importance": "high"} if self.notice.urgent else {}
        return {
            "to": self.to,
            "subject": " ".join(self.notice.title.split()),
            "html_content": html_of(self.notice),
            "custom_headers": urgent,
        }

    def _said(self, error: Exception) -> NotSent:
        if isinstance(error, NotSent):
            return error
        if isinstance(error, AirflowNotFoundException):
            return missing(self.connection)
        if isinstance(error, ImportError):
            return NotSent(NO_PROVIDER)
        return NotSent(f"mail by `{self.connection}` was not sent: {type(error).__name__}")


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
