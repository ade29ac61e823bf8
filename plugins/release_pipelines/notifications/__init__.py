"""Notifiers of Airflow's own kind that tell what a release came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release_pipelines._lazy import lazy

if TYPE_CHECKING:
    from release_pipelines.airflow.notifiers.log import LogNotifier as LogNotifier
    from release_pipelines.airflow.notifiers.mail import MailNotifier as MailNotifier
    from release_pipelines.airflow.notifiers.slack import SlackNotifier as SlackNotifier
    from release_pipelines.airflow.notifiers.waiting import WaitingNotifier as WaitingNotifier
    from release_pipelines.airflow.notifiers.webhook import WebhookNotifier as WebhookNotifier
    from release_pipelines.core.ports.notifier import NotSent as NotSent

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "airflow.notifiers.log": ("LogNotifier",),
        "airflow.notifiers.mail": ("MailNotifier",),
        "airflow.notifiers.slack": ("SlackNotifier",),
        "airflow.notifiers.waiting": ("WaitingNotifier",),
        "airflow.notifiers.webhook": ("WebhookNotifier",),
        "core.ports.notifier": ("NotSent",),
    },
)
