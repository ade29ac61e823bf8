"""Whether a version is affected, and which one ends it: the "evaluation" of the OSV schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from release_pipelines.adapters.advisories.versions import NoOrder, Version

ENDS = ("fixed", "last_affected")


class Span(NamedTuple):
    """Versions that are affected, one after the other.

    :param start: the first one; None: from the beginning.
    :param end: where they end; None: nowhere yet.
    :param last: whether ``end`` is still one of them.
    """

    start: Version | None
    end: Version | None = None
    last: bool = False

    def has(self, version: Version) -> bool:
        """Whether a version is one of them."""
        if self.start is not None and version < self.start:
            return False
        return self.end is None or (version <= self.end if self.last else version < self.end)


@dataclass(frozen=True)
class Affected:
    """What an advisory says of one version of a package.

    :param yes: whether it is affected.
    :param fixed: the version that ends it, on the branch of this one; None: none is named.
    :param newer_than: where none is named: what is newer than this is not affected; None: nothing is known of it.
    """

    yes: bool
    fixed: str | None = None
    newer_than: str | None = None


NOT_AFFECTED = Affected(False)


def evaluate(entries: Sequence[Mapping[str, Any]], ecosystem: str, version: str) -> Affected:
    """Whether a version is affected by any of a package's entries in one advisory.

    :param entries: ``affected`` of the OSV schema, those of this package.
    :param ecosystem: without a release.
    :raises NoOrder: when nobody can say.
    """
    if any(version in (entry.get("versions") or []) for entry in entries):
        listed, here = True, None
    else:
        listed, here = False, Version(ecosystem, version)
    kinds: dict[str, tuple[list[Span], list[Span]]] = {}
    unclear: NoOrder | None = None
    comparable = False
    for entry in entries:
        listed = listed or (here is not None and _is_listed(entry.get("versions") or [], ecosystem, here))
        comparable = comparable or bool(entry.get("versions"))
        for it in entry.get("ranges") or []:
            if it.get("type") == "GIT":  # speaks of commits
                continue
            comparable = True
            kind = "SEMVER" if it.get("type") == "SEMVER" and ecosystem != "Go" else ecosystem
            try:
                own, limits = spans_of(it.get("events") or [], kind)
                same = Version(kind, version)
            except NoOrder as error:
                unclear = error
                continue
            if limits and not any(same < limit for limit in limits):
                continue
            spans, hit = kinds.setdefault(kind, ([], []))
            spans += own
            hit += [span for span in own if span.has(same)]
    endings = [_ending(hit, spans) for spans, hit in kinds.values() if hit]
    if endings:
        return next((it for it in endings if it.fixed), endings[0])
    if listed:
        return Affected(True)
    if unclear:
        raise unclear
    if not comparable:
        raise NoOrder("it names neither versions nor ranges of them")
    return NOT_AFFECTED


def spans_of(events: Iterable[Mapping[str, str]], ecosystem: str) -> tuple[list[Span], list[Version]]:
    """The spans of one range, whatever order its events stand in, and its limits.

    Where a span ends at the very version with which another begins, the open one ends first.

    :raises NoOrder: when a version of it has no place.
    """
    limits: list[Version] = []
    marks: list[tuple[str, Version | None]] = []
    for event in events:
        for kind, text in event.items():
            if kind == "limit":
                limits += [] if text == "*" else [Version(ecosystem, text)]
            elif kind in ("introduced", *ENDS):
                marks.append((kind, None if kind == "introduced" and text == "0" else Version(ecosystem, text)))
    moments: list[tuple[Version | None, set[str]]] = []
    for kind, at in sorted(marks, key=lambda it: _Place(it[1])):
        if moments and _same(moments[-1][0], at):
            moments[-1][1].add(kind)
        else:
            moments.append((at, {kind}))
    spans: list[Span] = []
    begun: list[Version | None] = []
    for at, kinds in moments:
        ends = next((it for it in ENDS if it in kinds), None)
        if ends and begun:
            spans.append(Span(begun.pop(), at, ends == "last_affected"))
            ends = None
        if "introduced" in kinds and not begun:
            begun.append(at)
            if ends:
                spans.append(Span(begun.pop(), at, ends == "last_affected"))
    spans += [Span(it) for it in begun]
    return spans, limits


class _Place:
    """``introduced: 0`` comes before any version."""

    def __init__(self, version: Version | None) -> None:
        self.version = version

    def __lt__(self, other: _Place) -> bool:
        if self.version is None or other.version is None:
            return self.version is None and other.version is not None
        return self.version < other.version


def _same(one: Version | None, other: Version | None) -> bool:
    return one == other if one is not None and other is not None else one is other


def _is_listed(versions: Iterable[str], ecosystem: str, here: Version) -> bool:
    """Whether a version stands in a list in another spelling, like 1.0 for 1.0.0."""
    for it in versions:
        try:
            if Version(ecosystem, it) == here:
                return True
        except NoOrder:
            continue
    return False


def _ending(hit: list[Span], spans: list[Span]) -> Affected:
    """The smallest version that ends a span which was hit, and lies in no other one: spans may follow each other without a gap."""
    fixes = [_after(it, spans) for it in hit]
    good = [it for it in fixes if it is not None]
    if good:
        return Affected(True, _smallest(good).text)
    lasts = [it.end for it in hit if it.end is not None]
    if hit and len(lasts) == len(hit):
        newest = lasts[0]
        for it in lasts:
            newest = it if newest < it else newest
        if not any(span.end is None or newest < span.end for span in spans if span not in hit):
            return Affected(True, None, newest.text)
    return Affected(True)


def _after(span: Span, spans: list[Span]) -> Version | None:
    """The version that ends a span, and those that it lies in; None where one of them ends with none."""
    ending: Span | None = span
    end = None
    while ending is not None:
        if ending.end is None or ending.last:
            return None
        end = ending.end
        ending = next((it for it in spans if it.has(end)), None)
    return end


def _smallest(versions: list[Version]) -> Version:
    smallest = versions[0]
    for it in versions:
        smallest = it if it < smallest else smallest
    return smallest
