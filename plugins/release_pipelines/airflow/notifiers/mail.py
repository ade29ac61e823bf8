"""Airflow's notifier that sends mails, by the SMTP provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from release_pipelines.adapters.notifiers.mail import DEFAULT_CONNECTION, NO_PROVIDER, mail_of
from release_pipelines.airflow.notifiers.base import ReleaseNotifier, no_connection
from release_pipelines.core.ports.notifier import NotSent

if TYPE_CHECKING:
    from airflow.sdk import Context


class MailNotifier(ReleaseNotifier):
    """Sends the notice, with the incident report where there is one.

    :param notice: the :class:`~release_pipelines.core.model.notice.Notice` or its dict.
    :param to: addresses.
    :param connection: Airflow connection of type ``smtp``, with ``from_email`` in its extra.
    """

    def __init__(self, *, to: list[str], connection: str = DEFAULT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.to = to
        self.connection = connection

    def notify(self, context: Context) -> None:
        try:
            BaseHook.get_connection(self.connection)
            with self._hook() as hook:
                self._sender(hook)
                hook.send_email_smtp(to=self.to, **mail_of(self.notice))
        except Exception as error:
            raise self._failure(error) from error

    async def async_notify(self, context: Context) -> None:
        try:
            await BaseHook.aget_connection(self.connection)
            async with self._hook() as hook:
                self._sender(hook)
                await hook.asend_email_smtp(to=self.to, **mail_of(self.notice))
        except Exception as error:
            raise self._failure(error) from error

    def _hook(self) -> Any:
        from airflow.providers.smtp.hooks.smtp import SmtpHook

        return SmtpHook(smtp_conn_id=self.connection)

    def _sender(self, hook: Any) -> None:
        if not hook.from_email:
            raise NotSent(f"`from_email` is missing in the extra of the Airflow connection `{self.connection}`")

    def _failure(self, error: Exception) -> NotSent:
        if isinstance(error, NotSent):
            return error
        if isinstance(error, AirflowNotFoundException):
            return no_connection(self.connection)
        if isinstance(error, ImportError):
            return NotSent(NO_PROVIDER)
        return NotSent(f"mail by `{self.connection}` was not sent: {type(error).__name__}")
