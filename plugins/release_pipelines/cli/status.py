"""``release status``: what runs now, as it was last observed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from release_pipelines.cli.known import unknown
from release_pipelines.cli.terminal import (
    AsJson,
    Database,
    errors_as_sentences,
    fail,
    iso,
    local,
    open_history_at,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from release_pipelines.core.model.progress import Progress
    from release_pipelines.core.model.records import Release
    from release_pipelines.core.model.sighting import Sighting
    from release_pipelines.core.observed import Shown


def status(
    name: Annotated[str | None, typer.Argument(metavar="APP", help="Default: all apps.")] = None,
    environment: Annotated[str | None, typer.Option(help="Only what runs here.")] = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Tell what runs in each environment, as it was last observed: version, health, drift, lease, and the release that goes on.

    The DAG release_observations looks once a minute. What it could not see lately is said to be old.
    """
    from release_pipelines.core.observed import shown

    with errors_as_sentences():
        history = open_history_at(database)
        apps = None if name is None else [name]
        rows = history.observations(apps)
        releases = history.standing_releases(apps)
        if name is not None and not rows and not releases and (sentence := unknown(name, history.apps())):
            fail(sentence)
        places = _places(rows, releases, name)
        if environment is not None:
            known = sorted({it.environment for it in rows})
            if known and environment not in known:
                fail(f"--environment: found `{environment}`, expected one of {', '.join(known)}.")
            places = [it for it in places if it[1] in (environment, "")]
        running = [it.id for it in releases if it.outcome is None]
        progress = history.progress_of(running) if running else {}
    now, by_place = time.time(), {(it.app, it.environment): it for it in rows}
    lines = [shown(*place, by_place.get(place), releases, now) for place in places]
    if as_json:
        print_json([_json(it, progress, now) for it in lines])
    elif not lines:
        print(f"Nothing of {name} was observed, and it has no release yet." if name else "Nothing was observed yet.")
    else:
        headings = (
            "app",
            "environment",
            "runs",
            "since",
            "by",
            "state",
            "drift since",
            "last release",
            "running",
            "lease",
            "seen",
            "why",
        )
        print_table(headings, [_row(it, progress, now) for it in lines])


def _places(rows: list[Sighting], releases: list[Release], name: str | None) -> list[tuple[str, str]]:
    """Where something was observed; and apps that have releases, and that nobody has looked at."""
    places = [(it.app, it.environment) for it in rows]
    seen = {app for app, _ in places}
    trains = {it.app for it in releases if it.dag_id == it.app}
    return sorted({*places, *((it.app, "") for it in releases if it.app not in seen | trains)})


def _row(it: Shown, progress: dict[str, Progress], now: float) -> list[str]:
    from release_pipelines.core.model.units import lasting

    seen = it.seen
    observed = seen.observed_at if seen else None
    runs = f"{it.version} (old)" if it.old else it.version
    if seen and seen.backward:
        runs += f", went backwards from {seen.previous_version}"
    return [
        it.app,
        it.environment,
        runs,
        local(seen.since if seen else None),
        it.by or "",
        it.word,
        local(it.drift_since),
        it.last_release or "",
        "; ".join(_going_on(one, progress) for one in it.running),
        (seen.holder or "") if seen and not it.old else "",
        f"{lasting(max(0.0, now - observed))} ago" if observed is not None else "never",
        _why(it),
    ]


def _why(it: Shown) -> str:
    if it.not_observed_since is not None:
        return f"not observed since {local(it.not_observed_since)}: {it.why}"
    if it.seen is None or it.why:
        return it.why
    if it.seen.drift:
        return "; ".join(drift.sentence for drift in it.seen.drift)
    trouble = [f"{track.track}: {track.ready} of {track.wanted} replicas are ready" for track in it.seen.tracks]
    if it.state == "not_ready":
        return "; ".join(trouble)
    return it.health.sentence if it.health and it.state != "ok" else ""


def _going_on(release: Release, progress: dict[str, Progress]) -> str:
    at = progress.get(release.id)
    return f"{release.version} ({at.environment}: {at.step}, {at.weight} %)" if at else f"{release.version} (waits)"


def _json(it: Shown, progress: dict[str, Progress], now: float) -> dict[str, Any]:
    seen = it.seen
    return {
        "app": it.app,
        "environment": it.environment or None,
        "state": it.state,
        "runs": it.version,
        "version": seen.version if seen else None,
        "digest": seen.digest if seen else None,
        "since": iso(seen.since) if seen else None,
        "by": it.by,
        "release": seen.release if seen else None,
        "backward": bool(seen and seen.backward),
        "previous_version": seen.previous_version if seen else None,
        "old": it.old,
        "observed": iso(seen.observed_at) if seen else None,
        "looked": iso(seen.looked_at) if seen else None,
        "not_observed_since": iso(it.not_observed_since),
        "why": _why(it) or None,
        "health": _health(it),
        "drift_since": iso(it.drift_since),
        "drift": [{"kind": one.kind, "since": iso(one.since), "sentence": one.sentence} for one in seen.drift]
        if seen
        else [],
        "tracks": [one.model_dump(mode="json") for one in seen.tracks] if seen else [],
        "lease": {"holder": seen.holder, "until": iso(seen.held_until)} if seen and seen.holder else None,
        "last_release": {"id": it.last.id, "version": it.last.version, "outcome": it.last.outcome} if it.last else None,
        "running": [_running(one, progress) for one in it.running],
    }


def _running(release: Release, progress: dict[str, Progress]) -> dict[str, Any]:
    at = progress.get(release.id)
    return {
        "id": release.id,
        "version": release.version,
        "environment": at.environment if at else None,
        "step": at.step if at else None,
        "weight": at.weight if at else None,
    }


def _health(it: Shown) -> dict[str, Any] | None:
    if it.health is None:
        return None
    metrics = [one.model_dump(mode="json") for one in it.health.metrics]
    return {"state": it.health.state, "at": iso(it.health.at), "sentence": it.health.sentence, "metrics": metrics}
