"""The notice in a Slack channel, by Airflow's Slack provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from release_pipelines.adapters.notifiers.base import NotSent, ReleaseNotifier, missing

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.core.model.notice import Notice

TIMEOUT = 10
"""Seconds for one try."""
LONGEST = 2900
"""Characters of one block's text; Slack takes 3,000."""
NO_PROVIDER = "Slack needs the package apache-airflow-providers-slack: install `release-pipelines[notify]`"


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
            raise self._said(error) from error

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
            raise self._said(error) from error

    def _channel(self) -> str:
        if not self.channel:
            raise NotSent(f"`channel` is missing: the connection `{self.connection}` posts with an API token")
        return self.channel

    def _webhook(self, handlers: list[Any]) -> Any:
        from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

        return SlackWebhookHook(slack_webhook_conn_id=self.connection, timeout=TIMEOUT, retry_handlers=handlers)

    def _api(self, handlers: list[Any]) -> Any:
        from airflow.providers.slack.hooks.slack import SlackHook

        return SlackHook(slack_conn_id=self.connection, timeout=TIMEOUT, retry_handlers=handlers)

    def _said(self, error: Exception) -> NotSent:
        """A sentence of our own: the address of an incoming webhook is a secret, and errors tend to repeat it."""
        if isinstance(error, NotSent):
            return error
        if isinstance(error, AirflowNotFoundException):
            return missing(self.connection)
        if isinstance(error, ImportError):
            return NotSent(NO_PROVIDER)
        said = _error_in(getattr(error, "response", None))
        if isinstance(error, AirflowException) and "Status Code" in str(error):
            said = f"status {str(error).partition('Status Code: ')[2].partition('.')[0]}"
        return NotSent(f"Slack (`{self.connection}`) did not take it: {said or type(error).__name__}")


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
    return answer.get("error") if hasattr(answer, "get") else None


def message_of(notice: Notice) -> dict[str, Any]:
    """The message: a text for the list of messages, and blocks for the channel. What people wrote is only text."""
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": notice.title[:150]}},
        _section(escaped(notice.sentence)),
        {
            "type": "context",
            "elements": [
                {"type": "mrkdwn", "text": f"*{name}:* {escaped(value)}"[:LONGEST]}
                for name, value in notice.facts.items()
            ],
        },
    ]
    if notice.what_to_do:
        steps = "\n".join(f"{n}. {escaped(step)}" for n, step in enumerate(notice.what_to_do, 1))
        blocks.append(_section(f"*What to do now*\n{steps}"))
    return {"text": escaped(f"{notice.title}. {notice.sentence}")[:LONGEST], "blocks": blocks}


def escaped(text: str) -> str:
    """Text in which Slack finds no link, mention or element: https://docs.slack.dev/messaging/formatting-message-text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:LONGEST]}}
