"""From one look at a platform to the row that is kept of it. Pure: nothing here reads a clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import Observed, TrackStatus
from release_pipelines.core.model.sighting import EVERY_SECONDS, Health, Served, Sighting, TrackSeen
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.observed.drift import drifts
from release_pipelines.core.stable import runs
from release_pipelines.core.versions import is_older


@dataclass(frozen=True)
class Known:
    """What the history knows of an app in an environment.

    :param served: releases that gave their digest all traffic there, newest first.
    :param versions: digests to the versions as which the app's releases know them.
    """

    served: Sequence[Served] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def brought(self, digest: str | None) -> Served | None:
        """The newest release that gave this digest all traffic."""
        return next((it for it in self.served if it.digest == digest and not it.returned), None)


NOTHING = Known()


def seen(
    before: Sighting | None,
    target: Target,
    observed: Observed,
    known: Known,
    at: float,
    *,
    health: Health | None = None,
    every: float = EVERY_SECONDS,
) -> Sighting:
    """The row after a look that succeeded.

    :param before: the row as it was; None: nobody has looked yet.
    :param known: what the history knows.
    :param at: Unix time of the look, in seconds.
    :param health: how stable does; None: nobody has measured, and the last one stays.
    :param every: seconds between two looks.
    """
    past = before if before is not None and before.observed_at is not None else None
    serving = _serving(observed)
    digest = _digest(serving, past)
    brought = known.brought(digest)
    since, previous = _since(past, digest, known, at), _previous(past, digest, known)
    lease = observed.lease if observed.lease and is_held(observed.lease, past, at) else None
    drift = drifts(past, target, observed, known.served, at, in_charge=lease is not None)
    version = _version(serving, digest, known, observed)
    return Sighting(
        app=target.app,
        environment=target.environment,
        looked_at=at,
        observed_at=at,
        every=every,
        digest=digest,
        version=version,
        since=since,
        release=brought.release if brought else None,
        previous_version=previous,
        backward=bool(version and previous and is_older(version, previous)),
        tracks=[_track(it, observed, known) for it in ("stable", *BESIDE) if _is_there(it, observed)],
        holder=lease.holder if lease else None,
        held_until=lease.expires_at if lease else None,
        step=observed.note.step if lease and observed.note.release == lease.holder else None,
        health=health or (past.health if past else None),
        drift=drift,
        drift_since=min((it.since for it in drift), default=None),
    )


def missed(
    before: Sighting | None, target: Target, failure: str, at: float, *, every: float = EVERY_SECONDS
) -> Sighting:
    """The row after a look that failed: what was seen before stays.

    :param failure: why, in a sentence.
    :param at: Unix time of the look, in seconds.
    """
    known = before or Sighting(app=target.app, environment=target.environment, looked_at=at)
    since = known.failed_since if known.failed_since is not None else at
    return known.model_copy(update={"looked_at": at, "failed_since": since, "failure": failure, "every": every})


def is_held(lease: Lease, past: Sighting | None, at: float) -> bool:
    """Whether a lease has not expired. Where any machine's clock may have written its end, one that was renewed since the last look has not."""
    renewed = lease.seconds is not None and (past is None or past.held_until != lease.expires_at)
    return renewed or lease.expires_at > at


def _serving(observed: Observed) -> TrackStatus:
    """The track that has all traffic; while it is split, stable."""
    whole: Sequence[Track] = [it for it in BESIDE if observed.weight(it) == 100]
    return observed.track(whole[0] if whole else "stable")


def _digest(serving: TrackStatus, past: Sighting | None) -> str | None:
    if not runs(serving):
        return None
    mixed = serving.digest is not None and serving.ready > 0 and serving.updated < serving.ready
    # While replicas are replaced one after the other what ran before still answers, too.
    return past.digest if mixed and past is not None and past.digest is not None else serving.digest


def _version(serving: TrackStatus, digest: str | None, known: Known, observed: Observed) -> str | None:
    """The version of what runs. What an image's tag says counts only as long as no release says what a digest is."""
    good = observed.note.last_good
    if digest is not None and digest in known.versions:
        return known.versions[digest]
    if good is not None and good.digest == digest:
        return good.version
    if known.served or good is not None or not runs(serving):
        return None
    return serving.version


def _since(past: Sighting | None, digest: str | None, known: Known, at: float) -> float | None:
    """Since when it has all traffic: as the history has it, where that is newer than what was known; else since it was seen."""
    newest = known.served[0] if known.served else None
    told = newest.at if newest is not None and newest.digest == digest and newest.at <= at else None
    if past is None:
        return told
    if past.digest != digest:
        looked = past.observed_at if past.observed_at is not None else at
        return told if told is not None and told > looked - past.every else at
    if past.since is None or past.release is None:  # the history may have been told after that look
        return told if told is not None and (past.since is None or told <= past.since) else past.since
    return past.since


def _previous(past: Sighting | None, digest: str | None, known: Known) -> str | None:
    """The version that had all traffic before."""
    if past is not None and past.digest != digest:
        return past.version
    if past is not None and past.previous_version is not None:
        return past.previous_version
    if not known.served or known.served[0].digest != digest:
        return None
    return next((it.version for it in known.served if it.digest != digest), None)


def _is_there(track: Track, observed: Observed) -> bool:
    return track == "stable" or runs(observed.track(track)) or observed.reaches(track)


def _track(track: Track, observed: Observed, known: Known) -> TrackSeen:
    status = observed.track(track)
    trouble = status.failure or status.waiting
    return TrackSeen(
        track=track,
        digest=status.digest,
        version=known.versions.get(status.digest or "") or status.version,
        image=status.image,
        weight=observed.weight(track),
        ready=status.ready,
        wanted=status.wanted,
        trouble=trouble if status.ready < max(1, status.wanted) or status.failure else None,
    )
