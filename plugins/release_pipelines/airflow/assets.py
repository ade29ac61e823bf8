"""A release that held is an event of an Airflow asset, so that other DAGs can be scheduled on it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

from release_pipelines.airflow.ending import noted
from release_pipelines.airflow.hooks.history import HistoryHook, record

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

HELD = AssetAlias("release_held")
"""What the task that records outcomes gives. An outlet of its own would have an event for every run that is green, also for one that had
nothing to do; an alias has those that are added to it."""
ANNOUNCED = "announced"
"""The kind of event in the history that tells people of it. It decides nothing: it is written before Airflow has the event."""


def release_asset(environment: str, app: str) -> Asset:
    """The asset of an app in an environment: one event for each release that held there.

    :param environment: the last environment of the app.
    :param app: the app's name.
    """
    return Asset(f"release://{environment}/{app}")


def announce(context: Context, release: str, app: str, environment: str, version: str, digest: str | None) -> None:
    """Add the event of a release that held to its asset, once; it is there when the task has succeeded.

    Airflow keeps the event together with the task's success, so nothing that is written here could say whether it has it: a task that
    runs again asks Airflow.

    :param context: Airflow's context of a task whose outlets have :data:`HELD`.
    :param release: the release's id.
    """
    asset = release_asset(environment, app)
    if is_known(context, asset, release):
        log.info("%s knows of %s already.", asset.uri, version)
        return
    told = {"app": app, "environment": environment, "version": version, "digest": digest}
    with noted(f"{asset.uri} has no event of {version}"):
        context["outlet_events"][HELD].add(asset, extra={**told, "outcome": "released", "release": release})
        record(
            HistoryHook().history,
            "record_event",
            release,
            ANNOUNCED,
            f"{asset.uri} has an event: {version} held",
            None,
            told,
        )


def is_known(context: Context, asset: Asset, release: str) -> bool:
    """Whether Airflow has the event of a release. Where it does not answer it is taken for not known: it would not take the event either."""
    from airflow.sdk.execution_time.context import InletEventsAccessor

    with noted(f"It could not be asked whether {asset.uri} knows of the release"):
        events = InletEventsAccessor(asset_name=asset.name, asset_uri=asset.uri)
        begun: Any = getattr(context["dag_run"], "run_after", None)  # unlike its start it stays when the run is cleared
        if begun is not None:
            events = events.after(begun.isoformat())
        return any((it.extra or {}).get("release") == release for it in events)
    return False
