"""Airflow's notifier of a kind that sends by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from release_pipelines.airflow.connections import values_of
from release_pipelines.airflow.notifiers.base import ReleaseNotifier, no_connection
from release_pipelines.core.ports.notifier import NOTIFIERS

if TYPE_CHECKING:
    from airflow.sdk import Context


class KindNotifier(ReleaseNotifier):
    """Sends the notice as :meth:`~release_pipelines.core.ports.notifier.Notifier.send` of its kind does.

    :param notice: the :class:`~release_pipelines.core.model.notice.Notice` or its dict.
    :param kind: name of the notifier.
    :param keys: what an environment's file gives beside ``kind``, like ``connection``.
    """

    def __init__(self, *, kind: str, keys: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.keys = keys

    def notify(self, context: Context) -> None:
        named = self.keys.get("connection") or NOTIFIERS.get(self.kind).default_connection
        try:
            connection = values_of(BaseHook.get_connection(named)) if named else None
        except AirflowNotFoundException:
            raise no_connection(str(named)) from None
        NOTIFIERS.get(self.kind).send(self.notice, self.keys, connection)

    async def async_notify(self, context: Context) -> None:
        await asyncio.to_thread(self.notify, context)
