"""The notice in a Slack channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from release_pipelines.adapters.notifiers._provider import provider_missing
from release_pipelines.core.model.notice import Notice
from release_pipelines.core.ports.notifier import Notifier

BLOCK_LIMIT = 2900
"""Maximum length of one block's text, in characters; Slack takes 3,000."""
NO_PROVIDER = "Slack needs the package apache-airflow-providers-slack: install `release-pipelines[notify]`"


def message_of(notice: Notice) -> dict[str, Any]:
    """The message: a text for the list of messages, and blocks for the channel. What people wrote is only text."""
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": notice.title[:150]}},
        _section(escaped(notice.sentence)),
        {
            "type": "context",
            "elements": [
                {"type": "mrkdwn", "text": f"*{name}:* {escaped(value)}"[:BLOCK_LIMIT]}
                for name, value in notice.facts.items()
            ],
        },
    ]
    if notice.what_to_do:
        steps = "\n".join(f"{n}. {escaped(step)}" for n, step in enumerate(notice.what_to_do, 1))
        blocks.append(_section(f"*What to do now*\n{steps}"))
    return {"text": escaped(f"{notice.title}. {notice.sentence}")[:BLOCK_LIMIT], "blocks": blocks}


def escaped(text: str) -> str:
    """Text in which Slack finds no link, mention or element: https://docs.slack.dev/messaging/formatting-message-text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:BLOCK_LIMIT]}}


def channel_missing(connection: str) -> str:
    """What is said where an API token has no channel."""
    return f"`channel` is missing: the connection `{connection}` posts with an API token"


class Slack(Notifier):
    """Messages, by the Slack provider."""

    def missing(self) -> str | None:
        """Whether the provider is installed."""
        return provider_missing("slack")

    def obstacle(self, keys: Mapping[str, Any], connection_type: str | None) -> str | None:
        """An incoming webhook has its channel; an API token needs one."""
        if connection_type == "slack" and not keys.get("channel"):
            return channel_missing(keys["connection"])
        return None


NOTIFIER = Slack("release_pipelines.airflow.notifiers.slack.SlackNotifier", needs=("connection",), takes=("channel",))
