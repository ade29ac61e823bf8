"""A release that held is an event of an Airflow asset, so that other DAGs can be scheduled on it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

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
"""The kind of event in the history by which a task that runs again knows that it was told."""


def release_asset(environment: str, app: str) -> Asset:
    """The asset of an app in an environment: one event for each release that held there.

    :param environment: the last environment of the app.
    :param app: the app's name.
    """
    return Asset(f"release://{environment}/{app}")


def announce(context: Context, release: str, app: str, environment: str, version: str, digest: str | None) -> None:
    """Add the event of a release that held to its asset, once; it is there when the task has succeeded.

    :param context: Airflow's context of a task whose outlets have :data:`HELD`.
    :param release: the release's id.
    """
    asset, history = release_asset(environment, app), HistoryHook().history
    with noted("The history could not be asked whether the release was announced"):
        if any(it.kind == ANNOUNCED for it in history().release(release).events):
            log.info("%s knows of %s already.", asset.uri, version)
            return
    told = {"app": app, "environment": environment, "version": version, "digest": digest}
    with noted(f"{asset.uri} has no event of {version}"):
        context["outlet_events"][HELD].add(asset, extra={**told, "outcome": "released", "release": release})
        record(history, "record_event", release, ANNOUNCED, f"{asset.uri} has an event: {version} held", None, told)
