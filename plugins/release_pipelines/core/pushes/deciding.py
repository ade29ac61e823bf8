"""What becomes of a start: whether its release is known already, and which of those that wait is begun."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from release_pipelines.core.pushes.meaning import Start, is_older, newest

if TYPE_CHECKING:
    from release_pipelines.core.model.records import Release
    from release_pipelines.core.pushes.records import KeptStart, State

Older = Callable[[Start, Start], bool]
"""Whether the first start is older than the second."""

AGREES_WITHIN = 30.0
"""How long a tag may take until it names what its event told, in seconds: registries tell before it can be read."""


class Fate(NamedTuple):
    """What a start comes to, and why, in a sentence without a full stop."""

    state: State
    sentence: str


def known(start: Start, releases: Sequence[Release]) -> Fate | None:
    """What the history says to a start; None: nothing yet.

    A release that failed counts, too: whether it is tried again, a person decides.

    :param releases: those of the app with its version, its commit or its digest, newest first.
    """
    for it in releases:
        if it.run_id == start.run_id:
            return Fate("started", f"its run is {it.run_id}")
    for it in releases:
        if it.version == start.version and it.digest and _differs(it.digest, start.digest):
            return Fate("refused", _taken(start, it, it.digest, str(start.digest)))
        if it.version == start.version and it.commit and _differs(it.commit, start.commit):
            return Fate("refused", _taken(start, it, it.commit, str(start.commit)))
    for it in releases:
        return Fate("ignored", f"{it.id} is its release already ({it.outcome or 'running'})")
    return None


def confirmed(start: Start, named: str | None, exists: Callable[[str], bool], waited: float) -> Fate | None:
    """Whether a start of an image can begin, by what the registry says now; None: not yet.

    :param named: the digest that the tag names now; None: there is no such tag.
    :param exists: whether the registry has an image of a digest.
    :param waited: time since it was told, in seconds.
    """
    if start.digest is None or named == start.digest:
        return Fate("starting", "the registry has it")
    if start.source == "asset":  # anybody may have written it
        found = f"is {named}" if named else "is not there"
        return Fate("refused", f"the event says {start.digest}, and tag {start.tag} {found} in the registry")
    if waited < AGREES_WITHIN:
        return None
    if exists(start.digest):
        return Fate("starting", f"tag {start.tag} does not name it, and it is in the registry")
    return Fate("refused", f"the registry has no {start.digest}")


def outpaced(kept: Sequence[KeptStart], chosen: KeptStart, older: Older) -> Iterator[tuple[KeptStart, Fate]]:
    """What becomes of those that are not chosen."""
    for it in kept:
        if it.id != chosen.id:
            why = "is newer" if older(it.start, chosen.start) else "came later"
            yield it, Fate("ignored", f"{shown(chosen.start)} {why}")


def behind(start: Start, scheme: str, releases: Sequence[Release], older: Older) -> Fate | None:
    """Whether a start is older than what is released already, or is being released; None: it is not.

    Commits have one line, also those whose release went wrong: a fix comes after them. A version that went wrong stands in no
    other one's way.

    :param releases: the app's last ones, newest first.
    """
    for it in releases:
        if scheme != "commit" and it.outcome not in (None, "released", "no_op"):
            continue
        other = Start(start.app, it.version, "", it.commit or (it.version if scheme == "commit" else None))
        if older(start, other):
            return Fate("ignored", f"it is older than {shown(other)} ({it.id}): to go back is for a person")
    return None


def order(scheme: str, is_ancestor: Callable[[str, str], bool]) -> Older:
    """The order of an app's starts."""
    return lambda one, other: is_older(one, other, scheme, is_ancestor)


def first_of(waiting: Sequence[KeptStart], older: Older) -> KeptStart | None:
    """The one that is begun: the newest."""
    by_start = {it.start: it for it in waiting}
    found = newest(list(by_start), older)
    return by_start[found] if found else None


def shown(start: Start) -> str:
    """A start in a sentence."""
    return start.version[:12] if start.version == start.commit else start.version


def _differs(one: str, other: str | None) -> bool:
    """Whether two commits, or digests, are two: one may be written shorter."""
    return other is not None and not (one.startswith(other) or other.startswith(one))


def _taken(start: Start, release: Release, before: str, now: str) -> str:
    return f"{start.version} is known as {before} ({release.id}), and {now} was pushed: a version keeps its image"
