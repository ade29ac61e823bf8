"""What routers with rules share: weights as percent, rules that are not the app's, and how testers are matched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from release_pipelines.adapters.kubernetes.annotations import name_of
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Match, Traffic

if TYPE_CHECKING:
    from release_pipelines.adapters.kubernetes.client import Object
    from release_pipelines.adapters.kubernetes.router import Backends

Headers = list[tuple[str, str, str]]
"""Conditions of a rule for headers: name, ``Exact`` or ``RegularExpression``, value."""


def shares(weights: Mapping[Track, float]) -> dict[Track, int]:
    """Weights as percent that add up to 100, whatever somebody else wrote; tracks without any are left out."""
    total = sum(weights.values())
    if not total:
        return {"stable": 100}
    rounded: dict[Track, int] = {track: round(100 * it / total) for track, it in weights.items() if it}
    largest = max(rounded, key=lambda track: rounded[track])
    rounded[largest] += 100 - sum(rounded.values())
    return rounded


def farthest(rules: list[dict[Track, int]], wanted: Traffic | None) -> dict[Track, int]:
    """Of several rules the one that is least like what is wanted."""
    known = wanted.weights if wanted else {}

    def off(weights: dict[Track, int]) -> int:
        return sum(abs(weights.get(it, 0) - known.get(it, 0)) for it in ("stable", *BESIDE))

    return max(rules, key=off, default={"stable": 100})


def mark(backends: Backends) -> str:
    """What the name of a rule begins with that a release of the app has added. Names are unique in a route."""
    return f"{name_of(backends.app or backends.stable)}.release-pipelines.testers-"


def is_own(rule: Object, tracks: set[Track | None], backends: Backends, *, for_written: bool) -> bool:
    """Whether a release has added the rule: by its name. Earlier versions gave it none of its own, and where rules have no names it
    is lost: then by what it is, one that sends to the canary alone the testers of whom it was written that they shall go there.

    :param tracks: what it sends to.
    :param for_written: whether it is for the testers that were written last.
    """
    return str(rule.get("name", "")).startswith(mark(backends)) or (tracks == {"canary"} and for_written)


def rule_entries(
    entries: list[Object],
    track_of: Callable[[Object], Track | None],
    weight_of: Callable[[Object], int],
    stated: Callable[[Object, Track, int], Object],
    traffic: Traffic,
    where: str,
    named: Collection[Track] = (),
) -> list[Object]:
    """What a rule that names stable sends to, with this split: what is not the app's stays as it is, where it is.

    The way back to stable is always possible, whatever somebody has added meanwhile.

    :param stated: an entry for a track with a weight, made from stable's, or from the one that the track has.
    :param where: the rule, for the sentence.
    :param named: tracks that have an entry also without weight.
    :raises PlatformError: when the weights cannot be had beside what else is there.
    """
    ours = {it: [entry for entry in entries if track_of(entry) == it] for it in ("stable", *BESIDE)}
    others = [it for it in entries if track_of(it) is None and weight_of(it)]
    stable, total = ours["stable"][0], {it: traffic.weight(it) for it in ours}
    if others or len(ours["stable"]) > 1:
        if not traffic.same(ALL_TO_STABLE):
            refuse_others(others, where)
            raise PlatformError(
                f"{where} sends to stable's Service {len(ours['stable'])} times, as to several ports or subsets: once is expected, "
                "because a track beside it gets its share of one."
            )
        beside = sum(weight_of(entry) for track in BESIDE for entry in ours[track])
        if not beside:
            return entries
        total["stable"] = weight_of(stable) + beside
    result = []
    for entry in entries:
        track = track_of(entry)
        if entry is stable:
            result.append(stated(stable, "stable", total["stable"]))
            result += [stated(next(iter(ours[it]), stable), it, total[it]) for it in BESIDE if total[it] or it in named]
        elif track is None or track == "stable":
            result.append(entry)
    return result


def refuse_others(others: list[Object], where: str) -> None:
    """Raise when a rule also sends to what is no track of the app."""
    if others:
        named = ", ".join(str(it.get("name") or it.get("destination", {}).get("host")) for it in others)
        raise PlatformError(f"{where} also sends traffic to {named}: only the app's own tracks are expected there.")


def put_before(rules: list[Object], own: Object, passes: Callable[[Object], bool]) -> None:
    """Add a rule of a release at the end of those so far, and before the last of them whose order to it means nothing.

    The team's own order decides where it means something: a rule that is before the one that was copied stays before the copy.
    """
    place = len(rules)
    while place and passes(rules[place - 1]):
        place -= 1
    rules.insert(place, own)


def testers_read(own: list[Headers], made_from: list[Headers], wanted: Traffic | None) -> Match | None:
    """The testers that rules of a release are for: each has one condition more than the rule that it was made from.

    :param own: conditions of the rules of a release, in their order.
    :param made_from: conditions of the team's rules that name stable.
    """
    found = [
        match_in([it for it in headers if it not in before])
        for headers, before in zip(own, [*made_from, *([[]] * len(own))], strict=False)
    ]
    if len(own) == len(made_from) and all(it == found[0] for it in found):
        return found[0] if found else None
    # Not all of them are there: whoever wants testers sees none, and whoever wants none sees some.
    return None if wanted and wanted.testers else next(filter(None, found), None)


def refuse_asked_already(headers: Headers, name: str, where: str) -> None:
    """Raise when a rule has a condition of its own for the header that tells testers."""
    if any(it.lower() == name.lower() for it, _, _ in headers):
        raise PlatformError(
            f"{where} has a condition for header {name} already: testers are expected to have another one."
        )


def entries(route: Object, key: str) -> list[Object]:
    """A list of the route's ``spec``."""
    return route.get("spec", {}).get(key) or []


def names_none(kind: str, route: Object, rule: str, stable: str) -> str:
    """The sentence for a route that is not the app's."""
    return f"{kind} {route['metadata']['name']} has no {rule} that sends to Service {stable}: one is expected."


def cookie_pattern(name: str, value: str) -> str:
    """Regular expression of a Cookie header that has the cookie."""
    return f"(^|.*;\\s*){name}={value}(;.*|$)"


def match_in(headers: Headers) -> Match | None:
    """The testers that a rule made here is for, from its headers' names, types and values."""
    if not headers:
        return None
    name, kind, value = headers[-1]
    if kind == "Exact":
        return Match(kind="header", name=name, value=value)
    cookie, _, expected = value.partition("\\s*)")[2].partition("(;")[0].partition("=")
    return Match(kind="cookie", name=cookie, value=expected)
