"""What routers with rules share: weights as percent, rules that are not the app's, and how testers are matched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.traffic import Match, Traffic

if TYPE_CHECKING:
    from release_pipelines.adapters.kubernetes.client import Object


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


def made_here(tracks: list[Track | None]) -> bool:
    """Whether a rule is one that was made here, by what it sends to: nothing but tracks beside stable."""
    return bool(tracks) and all(it in BESIDE for it in tracks)


def entries(route: Object, key: str) -> list[Object]:
    """A list of the route's ``spec``."""
    return route.get("spec", {}).get(key) or []


def refuse_others(names: list[Any], where: str, route: Object) -> None:
    """Raise when a rule also sends to what is no track of the app."""
    if names:
        raise PlatformError(
            f"{where} {route['metadata']['name']} also sends traffic to {', '.join(map(str, names))}: "
            "only the app's own tracks are expected there."
        )


def names_none(kind: str, route: Object, rule: str, stable: str) -> str:
    """The sentence for a route that is not the app's."""
    return f"{kind} {route['metadata']['name']} has no {rule} that sends to Service {stable}: one is expected."


def cookie_pattern(name: str, value: str) -> str:
    """Regular expression of a Cookie header that has the cookie."""
    return f"(^|.*;\\s*){name}={value}(;.*|$)"


def match_in(headers: list[tuple[str, str, str]]) -> Match | None:
    """The testers that a rule made here is for, from its headers' names, types and values."""
    if not headers:
        return None
    name, kind, value = headers[-1]
    if kind == "Exact":
        return Match(kind="header", name=name, value=value)
    cookie, _, expected = value.partition("\\s*)")[2].partition("(;")[0].partition("=")
    return Match(kind="cookie", name=cookie, value=expected)
