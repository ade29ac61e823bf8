"""Airflow's notifier of an approval: it tells the receivers of an environment's file that a person is waited for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.spec.environment import EnvironmentSpec

WAITING = "waiting"
"""Key of Airflow's context under which an approval says what it waits for: the other arguments of
:func:`release_pipelines.airflow.ending.ask`."""


class WaitingNotifier(BaseNotifier):
    """Tells it to the environment's ``notify``. For the argument ``notifiers`` of this package's approvals, which say what they wait for.

    :param environment: the environment's settings.
    """

    def __init__(self, *, environment: EnvironmentSpec, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.environment = environment

    def notify(self, context: Context) -> None:
        from release_pipelines.airflow.ending import ask

        told: Any = context
        ask(context, environment=self.environment, **told[WAITING])

    async def async_notify(self, context: Context) -> None:
        await asyncio.to_thread(self.notify, context)
