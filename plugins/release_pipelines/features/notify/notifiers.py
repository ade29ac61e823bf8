"""Who is told what a release came to: the notifier of a receiver that an environment's file names."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from release_pipelines.core.model.notice import Notice
from release_pipelines.core.ports.notifier import NOTIFIERS
from release_pipelines.features.notify.spec import NotifySpec

if TYPE_CHECKING:
    from airflow.sdk import BaseNotifier


def notifier(spec: NotifySpec, notice: Notice) -> BaseNotifier:
    """The notifier that an environment's file names; a provider is imported when it sends."""
    module, _, name = NOTIFIERS.get(spec.kind).sender.rpartition(".")
    sender: Any = getattr(import_module(module), name)
    return cast("BaseNotifier", sender(notice=notice, **spec.keys))


def obstacle(spec: NotifySpec) -> str | None:
    """Why the receiver cannot be told, as far as that shows beforehand; None: nothing is known."""
    kind = NOTIFIERS.get(spec.kind)
    missing = kind.missing()
    if missing:
        return missing
    connection = spec.connection or kind.default_connection
    if connection is None:
        return kind.obstacle(spec.keys, None)
    try:
        connection_type = BaseHook.get_connection(connection).conn_type
    except AirflowNotFoundException:
        return f"there is no Airflow connection `{connection}`"
    return kind.obstacle(spec.keys, connection_type)
