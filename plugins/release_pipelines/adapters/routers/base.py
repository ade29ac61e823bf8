"""What all routers share: what they choose between, what is kept with the route, and who changed it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol

from release_pipelines.adapters.kubernetes.client import MANAGER, Object
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.traffic import Traffic

PREFIX = "release-pipelines/"
NOTE, FENCE, TRAFFIC = PREFIX + "note", PREFIX + "fence", PREFIX + "traffic"
WEIGHT = PREFIX + "weight"
"""What an earlier version kept instead of :data:`TRAFFIC`."""
TRACK = PREFIX + "track"
HASH = "pod-template-hash"


@dataclass(frozen=True)
class Backends:
    """What a router chooses between."""

    stable: str
    namespace: str
    port: int
    stable_pods: int = 0
    beside: dict[Track, int] = field(default_factory=dict)
    """Pods of each track beside stable that has a Deployment."""
    stable_pin: tuple[str, str] | None = None
    """A label that all of stable's pods have and the others' do not (router `replicas`)."""

    def service(self, track: Track) -> str:
        """Name of a track's Service."""
        return self.stable if track == "stable" else f"{self.stable}-{track}"

    def track(self, service: str) -> Track | None:
        """The track that a Service belongs to, if any."""
        return next((it for it in ("stable", *BESIDE) if self.service(it) == service), None)


class Router(Protocol):
    """How one kind of route says who gets which requests."""

    def traffic(self, route: Object, backends: Backends, wanted: Traffic | None) -> Traffic:
        """The split as the route says it. Where its rules differ, the one that is farthest from ``wanted``."""

    def spec(self, route: Object, backends: Backends, traffic: Traffic) -> Object:
        """Merge patch of ``spec`` that states the traffic.

        :raises PlatformError: when this router cannot do it.
        """


def shares(found: dict[Track, float]) -> dict[Track, int]:
    """Weights as percent that add up to 100; tracks without any are left out."""
    total = sum(found.values())
    if not total:
        return {"stable": 100}
    rounded: dict[Track, int] = {track: round(100 * it / total) for track, it in found.items() if it}
    largest = max(rounded, key=lambda track: rounded[track])
    rounded[largest] += 100 - sum(rounded.values())
    return rounded


def farthest(found: list[dict[Track, int]], wanted: Traffic | None) -> dict[Track, int]:
    """Of several rules the one that is least like what is wanted."""
    known = wanted.weights if wanted else {}

    def off(weights: dict[Track, int]) -> int:
        return sum(abs(weights.get(it, 0) - known.get(it, 0)) for it in ("stable", *BESIDE))

    return max(found, key=off, default={"stable": 100})


def route_patch(
    route: Object, router: Router, backends: Backends, traffic: Traffic, note: RouteNote, fence: int
) -> Object:
    """The one write of a split: traffic, note and fence, valid only for the route that it was made from."""
    return {
        "metadata": {
            "resourceVersion": route["metadata"]["resourceVersion"],
            "annotations": {**marks(traffic, note, fence), WEIGHT: None},
        },
        "spec": router.spec(route, backends, traffic),
    }


def marks(traffic: Traffic, note: RouteNote, fence: int) -> dict[str, str]:
    """What is kept with the route."""
    said = traffic.model_dump_json(exclude_defaults=True)
    return {NOTE: note.model_dump_json(exclude_none=True), FENCE: str(fence), TRAFFIC: said}


def annotation(obj: Object | None, key: str) -> str | None:
    """One annotation of an object, if both exist."""
    value = ((obj or {}).get("metadata", {}).get("annotations") or {}).get(key)
    return None if value is None else str(value)


def fence_of(obj: Object | None) -> int:
    """The fence on an object; 0 where there is none."""
    text = annotation(obj, FENCE) or "0"
    return int(text) if text.isdecimal() else 0


def note_of(route: Object) -> RouteNote:
    """The note on a route; an empty one where there is none that can be read."""
    try:
        return RouteNote.model_validate_json(annotation(route, NOTE) or "{}")
    except ValueError:
        return RouteNote()


def changed_by(route: Object, found: Traffic) -> str | None:
    """Who wrote the route last, when the traffic is not what we wrote (R14)."""
    written = annotation(route, TRAFFIC)
    if written is None or found.same(Traffic.model_validate_json(written)):
        return None
    fields = route["metadata"].get("managedFields") or []
    others = [it for it in fields if it.get("manager") not in (None, MANAGER)]
    others.sort(key=lambda it: it.get("time") or datetime.min.replace(tzinfo=timezone.utc).isoformat())
    return str(others[-1]["manager"]) if others else "somebody"


def applies(patch: Any, found: Any) -> bool:
    """Whether a merge patch would change nothing."""
    if isinstance(patch, dict):
        return isinstance(found, dict) and all(
            key not in found if value is None else key in found and applies(value, found[key])
            for key, value in patch.items()
        )
    return bool(json.dumps(patch, sort_keys=True) == json.dumps(found, sort_keys=True))


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
