"""What counts as a deployment, as a failed one, as rework, and when it was recovered from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

ENDED_BADLY = frozenset({"rolled_back", "aborted", "rollback_failed"})
"""Outcomes of a release that had to be taken back."""


@dataclass(frozen=True)
class Commit:
    """A commit that a release brings, seen from what served before.

    :param authored_at: Unix time in seconds.
    :param counts: False: it merges others, or changes nothing inside the app's build context.
    """

    sha: str
    authored_at: float
    counts: bool = True


@dataclass(frozen=True)
class Attempt:
    """One release, as far as the measures are concerned. All times are Unix times in seconds.

    :param outcome: of the release; a person's rollback that reached its version is ``released``.
    :param first_traffic_at: when its digest first got traffic in this environment; None: it never did.
    :param full_at: when it had all traffic; None: it never did.
    :param back_at: when the traffic had returned from it; None: it has not.
    :param remedies: ids of the releases that it puts right.
    :param degraded_since: since when it did harm, where somebody has said so.
    :param commits: what it brings; empty where that is not known.
    """

    release: str
    app: str
    environment: str
    outcome: str | None
    first_traffic_at: float | None = None
    full_at: float | None = None
    back_at: float | None = None
    remedies: tuple[str, ...] = ()
    degraded_since: float | None = None
    commits: tuple[Commit, ...] = ()
    team: str = ""
    version: str = ""


@dataclass(frozen=True)
class Deployment:
    """An attempt that reached users, and ended.

    :param at: when all traffic was on it, else its first traffic.
    :param recovered_at: when all traffic was on a version that held again; None: it did not fail, or nobody has recovered yet.
    """

    attempt: Attempt
    at: float
    deployed: bool
    failed: bool
    rework: bool
    recovered_at: float | None = None
    lead_times: tuple[float, ...] = field(default=())
    """Seconds from each commit that it was the first to bring."""
    ahead: int = 0
    """Commits that were written after they were deployed, by their own clock."""

    @property
    def recovery(self) -> float | None:
        """Seconds from the harm to its end."""
        since = (
            self.attempt.degraded_since if self.attempt.degraded_since is not None else self.attempt.first_traffic_at
        )
        if not self.failed or self.recovered_at is None or since is None:
            return None
        return max(self.recovered_at - since, 0.0)


def deployments(attempts: Iterable[Attempt]) -> list[Deployment]:
    """The deployments of one or more apps, in the order of their instants.

    :param attempts: all that are known, not only those of a span: what a release came to may show in a later one, and a commit counts
        where it was deployed first.
    """
    found: list[Deployment] = []
    by_place: dict[tuple[str, str], list[Attempt]] = {}
    for attempt in attempts:
        by_place.setdefault((attempt.app, attempt.environment), []).append(attempt)
    for mine in by_place.values():
        found += _lead_times(_of_one_place(mine))
    return sorted(found, key=lambda it: (it.at, it.attempt.release))


def _of_one_place(attempts: Sequence[Attempt]) -> list[Deployment]:
    reached = [(at, it) for it in attempts if (at := _instant(it)) is not None]
    reached.sort(key=lambda pair: (pair[0], pair[1].release))
    remedied: dict[str, list[Attempt]] = {}
    for _, it in reached:
        for release in it.remedies:
            remedied.setdefault(release, []).append(it)
    held = [(at, it) for at, it in reached if it.outcome == "released" and it.release not in remedied]
    return [
        Deployment(
            attempt=it,
            at=at,
            deployed=it.outcome == "released",
            failed=it.outcome in ENDED_BADLY or it.release in remedied,
            rework=bool(it.remedies),
            recovered_at=_recovered(it, at, remedied.get(it.release, []), held),
        )
        for at, it in reached
    ]


def _instant(it: Attempt) -> float | None:
    """When it was deployed; None: it is no deployment."""
    if it.outcome == "released":
        return it.full_at if it.full_at is not None else it.first_traffic_at
    return it.first_traffic_at if it.outcome in ENDED_BADLY else None


def _recovered(
    it: Attempt, at: float, remedies: Sequence[Attempt], held: Sequence[tuple[float, Attempt]]
) -> float | None:
    """When it was over; None: it did no harm, or still does.

    :param remedies: what names it, in order; one that failed itself has put nothing right.
    :param held: the versions that held, and since when they had all traffic.
    """
    if it.outcome in ENDED_BADLY and it.back_at is not None:
        return it.back_at
    mended = next((_instant(remedy) for remedy in remedies if remedy.outcome == "released"), None)
    if mended is not None:
        return mended
    if it.outcome not in ENDED_BADLY and not remedies:
        return None
    tried = [when for remedy in remedies if (when := _instant(remedy)) is not None]
    return next((when for when, _ in held if when > max([at, *tried])), None)


def _lead_times(found: list[Deployment]) -> list[Deployment]:
    """Each commit counts once: where it was deployed first. What the first known deployment brings is as old as the project."""
    seen: set[str] = set()
    known = False
    timed = []
    for it in found:
        if not it.deployed:
            timed.append(it)
            continue
        fresh = [commit for commit in it.attempt.commits if commit.sha not in seen]
        seen.update(commit.sha for commit in it.attempt.commits)
        times = [it.at - commit.authored_at for commit in fresh if commit.counts] if known else []
        known = True
        ahead = sum(time < 0 for time in times)
        timed.append(replace(it, lead_times=tuple(time for time in times if time >= 0), ahead=ahead))
    return timed


def in_production(attempts: Iterable[Attempt], earlier: Mapping[str, Collection[str]]) -> list[Attempt]:
    """The attempts without those in environments that come before an app's last one.

    :param earlier: names of these environments, by the app's name; of an app that is not in it all count.
    """
    return [it for it in attempts if it.environment not in earlier.get(it.app, ())]


def of_apps(found: Iterable[Deployment]) -> list[Deployment]:
    """One deployment for each release, where an app has several production environments: at the last one's instant, failed if one failed."""
    by_release: dict[str, list[Deployment]] = {}
    for it in found:
        by_release.setdefault(it.attempt.release, []).append(it)
    merged = []
    for parts in by_release.values():
        last = max(parts, key=lambda it: it.at)
        bad = [it for it in parts if it.failed]
        one = replace(
            last, deployed=all(it.deployed for it in parts), failed=bool(bad), rework=any(it.rework for it in parts)
        )
        if bad:
            worst = max(bad, key=lambda it: it.recovery if it.recovery is not None else float("inf"))
            one = replace(one, attempt=worst.attempt, recovered_at=worst.recovered_at)
        merged.append(one)
    return sorted(merged, key=lambda it: (it.at, it.attempt.release))
