"""Events of assets that Airflow does not give a run: the releases that a DAG's task has not had yet, each once; and all that may have begun a run.

Airflow begins no run for each event: of several that come between two looks of its scheduler only the first is among the events of the run that they begin, and the
others wait for the next event, which may be days away. So a task reads the events itself, and remembers how far it has come.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, get_current_context

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.execution_time.comms import AssetEventResult

OVERLAP = timedelta(minutes=5)
"""Events that were written at the same time may be seen in another order than that of their times: so much is looked at again."""


def held_releases(asset: Asset) -> Iterator[AssetEventResult]:
    """The events of an asset that this task has not had yet, the oldest first; for a task that has the asset among its ``inlets``.

    What was handed out is remembered when the next one is asked for, in the asset's state store: a task that fails gets the one that it failed at again. Runs of the
    DAG that come at the same time would each get it: ``max_active_runs=1`` keeps them apart.

    :param asset: the asset, like ``Asset("release://production/storefront")``; also one that another DAG writes.
    :return: events with ``timestamp`` and ``extra`` (``version``, ``digest``, ``environment``, ``app``, ``release``, ``outcome``). The first time they begin with the
        events that began this run.
    """
    context = get_current_context()
    store = context["asset_state_store"][asset]
    key = _key(context)
    known: Any = store.get(key) or {}
    since = _begins(context, asset, known)
    if since is None:
        return
    for event in sorted(context["inlet_events"][asset].after(since.isoformat()), key=lambda it: (it.timestamp, it.id)):
        if str(event.id) in known.get("had", {}):
            continue
        yield event
        known = _with(known, event.id, event.timestamp)
        store.set(key, known)


def events_since(context: Context, asset: Asset) -> list[Any]:
    """The events of an asset that came since the DAG's last run that went well, or since the first that began this run; the oldest first.

    For a task to which it does not matter that it gets some of them again. Needs no ``inlets``. Where Airflow does not answer these are the
    events that began the run.

    :param asset: the asset.
    """
    from airflow.sdk.execution_time.context import InletEventsAccessor

    from release_pipelines.airflow.ending import noted

    triggering = _triggering(context, asset)
    last: Any = context.get("prev_start_date_success")  # Airflow knows of none for a run that events began
    moments = [*(it.timestamp for it in triggering), *([last] if last else [])]
    found: list[Any] = []
    if moments and isinstance(asset, Asset):  # an alias has no events of its own
        with noted(f"It could not be asked which events {asset.uri} has besides"):
            found = list(
                InletEventsAccessor(asset_name=asset.name, asset_uri=asset.uri).after(min(moments).isoformat())
            )
    return sorted({it.id: it for it in [*triggering, *found]}.values(), key=lambda it: (it.timestamp, it.id))


def _key(context: Context) -> str:
    ti: Any = context["ti"]
    return f"held_releases.{ti.dag_id}.{ti.task_id}"


def _begins(context: Context, asset: Asset, known: dict[str, Any]) -> datetime | None:
    """Since when events are looked at; None: nothing is known and no event began this run."""
    if "until" in known:
        return datetime.fromisoformat(known["until"]) - OVERLAP
    return min((it.timestamp for it in _triggering(context, asset)), default=None)


def _triggering(context: Context, asset: Asset) -> list[Any]:
    """The events of an asset that Airflow says have begun this run."""
    found: Any = context.get("triggering_asset_events") or {}
    return list(found.get(asset, []))


def _with(known: dict[str, Any], event: int, at: datetime) -> dict[str, Any]:
    """What is remembered when an event was handed out: how far it goes, and what of the overlap was had."""
    until = max(at, datetime.fromisoformat(known["until"])) if "until" in known else at
    had = {**known.get("had", {}), str(event): at.isoformat()}
    return {
        "until": until.isoformat(),
        "had": {it: time for it, time in had.items() if datetime.fromisoformat(time) >= until - OVERLAP},
    }
