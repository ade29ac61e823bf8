"""What people are shown of an app in an environment: what was seen there, beside what was last tried. Pure.

These two are never one: the newest release may wait for its moment, have gone back, or have been undone by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from release_pipelines.core.model.records import Release
from release_pipelines.core.model.release_id import OBSERVATIONS_DAG
from release_pipelines.core.model.sighting import Health, Sighting
from release_pipelines.core.versions import sort_key

MISSED_LOOKS = 3
"""What is older than so many looks is old."""
DIGEST_LETTERS = 12

State = Literal["ok", "over", "not_measured", "not_ready", "drift", "nothing", "not_observed"]
WORDS: dict[State, str] = {
    "ok": "ok",
    "over": "over its limit",
    "not_measured": "not measured",
    "not_ready": "not ready",
    "drift": "drift",
    "nothing": "nothing runs",
    "not_observed": "not observed",
}
"""A word for each state; only ``ok`` may be green."""


@dataclass(frozen=True)
class Shown:
    """An app in an environment, for pages and terminals. All times are Unix times in seconds.

    :param seen: the row; None: nobody has looked yet.
    :param state: in one word; see ``WORDS``.
    :param version: of what runs, or what is known of it; of an old look, what ran then.
    :param old: whether all of that is of an old look: then nothing of it is green.
    :param not_observed_since: since when nobody knows; None: it was seen lately, or never.
    :param why: why it is not observed.
    :param last: the release of the app that ended last.
    :param running: its releases that have not ended, oldest first.
    :param brought: the release that brought what runs.
    """

    app: str
    environment: str
    seen: Sighting | None
    state: State
    version: str
    old: bool
    not_observed_since: float | None
    why: str
    last: Release | None = None
    running: tuple[Release, ...] = ()
    brought: Release | None = None

    @property
    def word(self) -> str:
        """The state as a word."""
        return WORDS[self.state]

    @property
    def green(self) -> bool:
        """Whether it may be shown as good."""
        return self.state == "ok"

    @property
    def health(self) -> Health | None:
        """How stable did at the last look; None: nobody knows."""
        return self.seen.health if self.seen else None

    @property
    def by(self) -> str | None:
        """Who asked for what runs."""
        return self.brought.requester if self.brought else None

    @property
    def drift_since(self) -> float | None:
        return self.seen.drift_since if self.seen else None

    @property
    def last_release(self) -> str | None:
        """The release that ended last, and how: ``1.0.10 rolled back``."""
        return f"{self.last.version} {str(self.last.outcome).replace('_', ' ')}" if self.last else None

    @property
    def sort_key(self) -> tuple[object, ...]:
        """By the order of versions."""
        return sort_key(self.seen.version if self.seen else None)

    def facts(self, clock: Callable[[float], str]) -> list[str]:
        """What is to be said of it, most urgent first, each a few words.

        :param clock: a Unix time as people read it.
        """
        said = []
        if self.not_observed_since is not None:
            said.append(f"not observed since {clock(self.not_observed_since)}")
        elif self.seen is None or self.seen.observed_at is None:
            said.append("never observed")
        if self.seen is None or self.seen.observed_at is None:
            return said
        was = "was " if self.old else ""
        since = f", since {clock(self.seen.since)}" if self.seen.since is not None else ""
        said.append(f"{was}{self.version}{since}")
        if self.seen.backward:
            said.append(f"went backwards from {self.seen.previous_version}")
        if self.seen.drift_since is not None:
            said.append(f"drift since {clock(self.seen.drift_since)}")
        return said


def shown(
    app: str,
    environment: str,
    row: Sighting | None,
    releases: Sequence[Release],
    now: float,
) -> Shown:
    """What people are shown.

    :param row: what was last seen there; None: nobody has looked.
    :param releases: of the app: those that run, the one that ended last, and the one that brought what runs; others do no harm.
    :param now: Unix time in seconds.
    """
    mine = [it for it in releases if it.app == app]
    ended = [it for it in mine if it.outcome is not None]
    running = sorted((it for it in mine if it.outcome is None), key=lambda it: it.started_at)
    since, why = _not_observed(row, now)
    old = row is not None and row.observed_at is not None and since is not None
    return Shown(
        app=app,
        environment=environment,
        seen=row,
        state=_state(row, old),
        version=named(row),
        old=old,
        not_observed_since=since,
        why=why,
        last=max(ended, key=lambda it: it.ended_at or it.started_at, default=None),
        running=tuple(running),
        brought=next((it for it in mine if row is not None and it.id == row.release), None),
    )


def named(row: Sighting | None) -> str:
    """The version that runs, or what is known of it."""
    if row is None or row.observed_at is None:
        return "unknown"
    if row.version:
        return row.version
    if row.digest:
        return f"unknown version ({short(row.digest)})"
    stable = row.track("stable")
    if stable.wanted or stable.ready:
        return f"unknown version ({stable.image or 'its replicas name no digest'})"
    return "nothing"


def short(digest: str) -> str:
    """A digest by its first letters."""
    kind, sign, letters = digest.partition(":")
    return f"{kind}{sign}{letters[:DIGEST_LETTERS]}…" if len(letters) > DIGEST_LETTERS else digest


def _not_observed(row: Sighting | None, now: float) -> tuple[float | None, str]:
    """Since when nobody knows what runs, and why; None: somebody does, or nobody ever did."""
    if row is None:
        return (
            None,
            f"nobody has looked yet: the DAG {OBSERVATIONS_DAG} looks every minute, unless it is paused or missing",
        )
    limit = MISSED_LOOKS * row.every
    if now - row.looked_at > limit:
        why = f"nobody has looked since: the DAG {OBSERVATIONS_DAG} is paused, missing or does not get through"
        return row.failed_since if row.failed_since is not None else row.looked_at, why
    if row.failure is not None:
        return row.failed_since, row.failure
    return None, ""


def _state(row: Sighting | None, old: bool) -> State:
    if row is None or row.observed_at is None or old:
        return "not_observed"
    stable = row.track("stable")
    if row.drift:
        return "drift"
    if not (stable.wanted or stable.ready):
        return "nothing"
    if any(it.ready < it.wanted and it.weight for it in row.tracks):
        return "not_ready"
    return row.health.state if row.health else "not_measured"
