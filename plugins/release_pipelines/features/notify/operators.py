"""Sends the notice of a release's outcome, and that it waits for a person."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from release_pipelines.airflow.connections import values_of
from release_pipelines.airflow.ending import run_url
from release_pipelines.airflow.hooks.history import HistoryHook, record
from release_pipelines.core.model.notice import WAITING, Notice, Waiting, notice_of, notice_of_waiting
from release_pipelines.core.ports.notifier import NOTIFIERS, NotSent
from release_pipelines.features.notify.spec import NotifySpec, named
from release_pipelines.spec.feature import Ended

if TYPE_CHECKING:
    from airflow.sdk import BaseNotifier, Context

log = logging.getLogger(__name__)


def tell(ended: Ended) -> None:
    """Send the notice to the environment's receivers; nobody gets that of the same outcome twice."""
    notice = notice_of(ended.detail, ended.target.environment, run_url(ended.context), ended.steps, ended.report)
    _send_all(ended, notice, notice.outcome, _receipts(ended))


def ask(ended: Ended, waiting: Waiting) -> None:
    """Tell those who want to hear of it that a person is waited for; nobody is told of the same wait twice but by a reminder."""
    notice = notice_of_waiting(ended.detail, ended.target.environment, waiting)
    receipts = [] if waiting.reminder else _receipts(ended)
    _send_all(ended, notice, WAITING, receipts, {"task": waiting.task})


def alarm(ended: Ended, sentence: str) -> None:
    """Send an urgent notice in mid-release, to whoever hears of failed rollbacks."""
    notice = notice_of(ended.detail, ended.target.environment, run_url(ended.context))
    _send_all(ended, notice.model_copy(update={"outcome": "stuck", "sentence": sentence}), "rollback_failed", [])


def _receipts(ended: Ended) -> list[Any]:
    return [it.data for it in ended.detail.events if it.kind == "notified"]


def _send_all(
    ended: Ended, notice: Notice, kind: str, receipts: list[Any], about: dict[str, str] | None = None
) -> None:
    """Send it to those who want to hear of this kind, and record who was told, and about what."""
    for spec in ended.environment.part("notify", list) or []:
        receipt = {"receiver": named(spec), "outcome": notice.outcome, **(about or {})}
        if not spec.hears_of(kind) or receipt in receipts:
            continue
        failure = _send(ended.context, spec, notice)
        event, what = ("notified", notice.outcome) if failure is None else ("not_notified", failure)
        record(HistoryHook().history, "record_event", ended.detail.id, event, f"{named(spec)}: {what}", None, receipt)


def _send(context: Context, spec: NotifySpec, notice: Notice) -> str | None:
    """Send the notice; returns why it could not be sent, or None."""
    try:
        notifier(spec, notice).notify(context)
    except NotSent as error:
        log.warning("Not notified by %s: %s.", named(spec), error)
        return str(error)
    except Exception as error:  # a receiver must not decide what a release came to
        log.warning("Not notified by %s.", named(spec), exc_info=True)
        return f"an unforeseen {type(error).__name__}; the log of the task says more"
    return None


def notifier(spec: NotifySpec, notice: Notice) -> BaseNotifier:
    """The notifier that an environment's file names; a provider is imported when it sends."""
    path = NOTIFIERS.get(spec.kind).sender
    if path is None:
        from release_pipelines.airflow.notifiers.kind import KindNotifier

        return KindNotifier(notice=notice, kind=spec.kind, keys=spec.keys)
    module, _, name = path.rpartition(".")
    sender: Any = getattr(import_module(module), name)
    return cast("BaseNotifier", sender(notice=notice, **spec.keys))


def obstacle(spec: NotifySpec) -> str | None:
    """Why the receiver cannot be notified, as far as that shows beforehand; None where nothing shows."""
    kind = NOTIFIERS.get(spec.kind)
    missing = kind.missing()
    if missing:
        return missing
    connection = spec.connection or kind.default_connection
    if connection is None:
        return kind.obstacle(spec.keys, None)
    try:
        found = BaseHook.get_connection(connection)
    except AirflowNotFoundException:
        return f"there is no Airflow connection `{connection}`"
    return kind.obstacle(spec.keys, found.conn_type) or kind.unclear(values_of(found))
