"""What runs otherwise than the last good release left it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.sighting import Drift, DriftKind, Served, Sighting
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE
from release_pipelines.core.stable import runs


def drifts(
    past: Sighting | None, target: Target, observed: Observed, served: Sequence[Served], at: float, *, in_charge: bool
) -> list[Drift]:
    """What differs, each with since when it does.

    While somebody holds the lease, that release judges itself what others change (R14): nothing new is told then.

    :param past: the row of the last look that succeeded; None: there is none.
    :param served: releases that gave their digest all traffic there, newest first.
    :param at: Unix time of the look, in seconds.
    :param in_charge: whether somebody holds the lease.
    """
    known = {it.kind: it for it in past.drift} if past else {}
    if in_charge and past and past.track("stable").digest != observed.track("stable").digest:
        known.pop("version", None)  # the release has replaced it
    found = dict(_found(past, target, observed, served))
    return [
        Drift(kind=kind, since=known[kind].since if kind in known else at, sentence=sentence)
        for kind, sentence in found.items()
        if kind in known or not in_charge
    ]


def _found(
    past: Sighting | None, target: Target, observed: Observed, served: Sequence[Served]
) -> Iterator[tuple[DriftKind, str]]:
    stable, note, route = observed.track("stable"), observed.note, observed.route
    left = {note.last_good.digest} if note.last_good else {it for one in served[:1] for it in (one.digest, one.before)}
    if not runs(stable) and (left or (past is not None and past.digest)):
        yield "missing", f"nothing runs on stable of {target.app} in {target.environment}"
    elif left and runs(stable) and stable.digest not in left:
        what = stable.digest or stable.tagged
        yield (
            "version",
            f"{stable.changed_by or 'somebody'} put {what} on stable; {_named(observed, served)} is what the last good release left",
        )
    if route is None:
        if past is not None and any(it.weight for it in past.tracks):
            yield "traffic", "the route is gone"
    elif route.changed_by or (note.traffic is not None and not route.traffic.same(note.traffic)):
        wanted = note.traffic.weight("stable") if note.traffic else None
        expected = (
            f", {wanted} % is what the last release left" if wanted not in (None, observed.weight("stable")) else ""
        )
        yield (
            "traffic",
            f"{route.changed_by or 'somebody'} changed the traffic: stable has {observed.weight('stable')} %{expected}",
        )
    elif note.traffic is None and any(map(route.traffic.reaches, BESIDE)):
        yield "traffic", f"stable has {observed.weight('stable')} % of the traffic, and no release has said so"


def _named(observed: Observed, served: Sequence[Served]) -> str:
    good = observed.note.last_good
    return good.version if good else served[0].version
