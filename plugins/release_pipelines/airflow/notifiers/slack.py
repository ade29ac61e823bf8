"""Airflow's notifier that posts into a Slack channel, by the Slack provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from release_pipelines.adapters.notifiers.slack import NO_PROVIDER, channel_missing, message_of
from release_pipelines.airflow.notifiers.base import ReleaseNotifier, no_connection
from release_pipelines.core.ports.notifier import NotSent
from release_pipelines.core.text import one_line

if TYPE_CHECKING:
    from airflow.sdk import Context

TIMEOUT = 10
"""Maximum time of one try, in seconds."""


class SlackNotifier(ReleaseNotifier):
    """Posts the notice.

    :param notice: the :class:`~release_pipelines.core.model.notice.Notice` or its dict.
    :param connection: Airflow connection of type ``slackwebhook`` (an incoming webhook, which has its channel), or ``slack``
        (an API token).
    :param channel: for a connection of type ``slack``: where the message goes.
    """

    def __init__(self, *, connection: str, channel: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.connection = connection
        self.channel = channel

    def notify(self, context: Context) -> None:
        message = message_of(self.notice)
        try:
            if BaseHook.get_connection(self.connection).conn_type == "slack":
                self._api(_handlers()).call("chat.postMessage", json={"channel": self._channel(), **message})
            else:
                self._webhook(_handlers()).send(**message)
        except Exception as error:
            raise self._failure(error) from error

    async def async_notify(self, context: Context) -> None:
        message = message_of(self.notice)
        try:
            connection = await BaseHook.aget_connection(self.connection)
            if connection.conn_type == "slack":
                await self._api(_async_handlers()).async_call(
                    "chat.postMessage", json={"channel": self._channel(), **message}
                )
            else:
                await self._webhook(_async_handlers()).async_send(**message)
        except Exception as error:
            raise self._failure(error) from error

    def _channel(self) -> str:
        if not self.channel:
            raise NotSent(channel_missing(self.connection))
        return self.channel

    def _webhook(self, handlers: list[Any]) -> Any:
        from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

        return SlackWebhookHook(slack_webhook_conn_id=self.connection, timeout=TIMEOUT, retry_handlers=handlers)

    def _api(self, handlers: list[Any]) -> Any:
        from airflow.providers.slack.hooks.slack import SlackHook

        return SlackHook(slack_conn_id=self.connection, timeout=TIMEOUT, retry_handlers=handlers)

    def _failure(self, error: Exception) -> NotSent:
        """A sentence of our own: the address of an incoming webhook is a secret, and errors tend to repeat it."""
        if isinstance(error, NotSent):
            return error
        if isinstance(error, AirflowNotFoundException):
            return no_connection(self.connection)
        if isinstance(error, ImportError):
            return NotSent(NO_PROVIDER)
        word = _error_in(getattr(error, "response", None))
        if isinstance(error, AirflowException) and "Status Code" in str(error):
            word = f"status {str(error).partition('Status Code: ')[2].partition('.')[0]}"
        return NotSent(f"Slack (`{self.connection}`) did not take it: {word or type(error).__name__}")


def _handlers() -> list[Any]:
    """Slack asks for patience with 429 and Retry-After."""
    from slack_sdk.http_retry.builtin_handlers import ConnectionErrorRetryHandler, RateLimitErrorRetryHandler

    return [ConnectionErrorRetryHandler(), RateLimitErrorRetryHandler()]


def _async_handlers() -> list[Any]:
    from slack_sdk.http_retry.builtin_async_handlers import (
        AsyncConnectionErrorRetryHandler,
        AsyncRateLimitErrorRetryHandler,
    )

    return [AsyncConnectionErrorRetryHandler(), AsyncRateLimitErrorRetryHandler()]


def _error_in(answer: Any) -> str | None:
    """Slack's own word for what is wrong, like ``channel_not_found``."""
    error = answer.get("error") if hasattr(answer, "get") else None
    return one_line(error, 100) if error else None
