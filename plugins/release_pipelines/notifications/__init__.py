"""Notifiers of Airflow's own kind that tell what a release came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release_pipelines._lazy import lazy

if TYPE_CHECKING:
    from release_pipelines.adapters.notifiers.base import NotSent as NotSent
    from release_pipelines.adapters.notifiers.log import LogNotifier as LogNotifier
    from release_pipelines.adapters.notifiers.mail import MailNotifier as MailNotifier
    from release_pipelines.adapters.notifiers.slack import SlackNotifier as SlackNotifier
    from release_pipelines.adapters.notifiers.webhook import WebhookNotifier as WebhookNotifier

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "adapters.notifiers.base": ("NotSent",),
        "adapters.notifiers.log": ("LogNotifier",),
        "adapters.notifiers.mail": ("MailNotifier",),
        "adapters.notifiers.slack": ("SlackNotifier",),
        "adapters.notifiers.webhook": ("WebhookNotifier",),
    },
)
