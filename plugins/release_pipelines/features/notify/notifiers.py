"""Who is told what a release came to: notifiers that an environment's file names, and that a DAG may use alone."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from release_pipelines.adapters.notifiers.base import NotSent, ReleaseNotifier
from release_pipelines.core.model.notice import Notice
from release_pipelines.features.notify.spec import NotifySpec

__all__ = ["NotSent", "Notice", "ReleaseNotifier", "misfit", "named", "notifier"]


def notifier(spec: NotifySpec, notice: Notice) -> ReleaseNotifier:
    """The notifier that an environment's file names; a provider is imported when it sends."""
    given: dict[str, Any] = {"notice": notice}
    if spec.connection:
        given["connection"] = spec.connection
    if spec.kind == "webhook":
        from release_pipelines.adapters.notifiers.webhook import WebhookNotifier

        return WebhookNotifier(**given)
    if spec.kind == "slack":
        from release_pipelines.adapters.notifiers.slack import SlackNotifier

        return SlackNotifier(channel=spec.channel, **given)
    if spec.kind == "mail":
        from release_pipelines.adapters.notifiers.mail import MailNotifier

        return MailNotifier(to=spec.to, **given)
    from release_pipelines.adapters.notifiers.log import LogNotifier

    return LogNotifier(**given)


def misfit(spec: NotifySpec) -> str | None:
    """Why the receiver cannot be told, as far as that shows beforehand; None: nothing is known."""
    if spec.kind == "log":
        return None
    provider = {"slack": "slack", "mail": "smtp"}.get(spec.kind)
    if provider and find_spec(f"airflow.providers.{provider}") is None:
        return f"apache-airflow-providers-{provider} is not installed: install `release-pipelines[notify]`"
    connection = spec.connection or "smtp_default"
    try:
        kind = BaseHook.get_connection(connection).conn_type
    except AirflowNotFoundException:
        return f"there is no Airflow connection `{connection}`"
    if kind == "slack" and not spec.channel:
        return f"`channel` is missing: the connection `{connection}` posts with an API token"
    return None


def named(spec: NotifySpec) -> str:
    """The receiver in a sentence, like ``slack release_slack``; two receivers that differ are called differently."""
    return " ".join(it for it in (spec.kind, spec.connection, spec.channel, ", ".join(spec.to)) if it)
