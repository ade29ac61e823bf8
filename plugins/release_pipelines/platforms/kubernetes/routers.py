"""Routers as pure functions: the object in the cluster and the wanted weights → the patch; the object → the weights.

Each router has the same three functions: :func:`Router.weights`, :func:`Router.patch` and :func:`Router.create`.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Protocol

from release_pipelines.domain.replicas import nearest, share
from release_pipelines.domain.values import RouteNote, Track
from release_pipelines.platforms.base import PlatformError
from release_pipelines.platforms.kubernetes.client import MANAGER, Object

PREFIX = "release-pipelines/"
NOTE, FENCE, WEIGHT = PREFIX + "note", PREFIX + "fence", PREFIX + "weight"
TRACK = PREFIX + "track"
HASH = "pod-template-hash"


@dataclass(frozen=True)
class Backends:
    """What a router chooses between."""

    stable: str
    canary: str
    namespace: str
    port: int
    stable_pods: int = 0
    canary_pods: int = 0
    canary_exists: bool = False
    stable_pin: tuple[str, str] | None = None
    """A label that all of stable's pods have and the canary's do not (router `replicas`)."""


class Router(Protocol):
    """How one kind of route says weights."""

    def weights(self, route: Object, backends: Backends, wanted: int) -> dict[Track, int]:
        """The split as the route says it. Where its rules differ, the one that is farthest from ``wanted``."""

    def spec(self, route: Object, backends: Backends, weight: int) -> Object:
        """Merge patch of ``spec`` that gives the canary ``weight`` percent."""


def _shares(stable: float, canary: float) -> dict[Track, int]:
    total = stable + canary
    part = round(100 * canary / total) if total else 0
    return {"stable": (100 - part) if total else 0, "canary": part}


def _farthest(found: list[dict[Track, int]], wanted: int) -> dict[Track, int]:
    return max(found, key=lambda it: abs(it["canary"] - wanted) + 100 - sum(it.values()), default=_shares(0, 0))


class GatewayApi:
    """HTTPRoute: weighted ``backendRefs`` in every rule that names stable."""

    def weights(self, route: Object, backends: Backends, wanted: int) -> dict[Track, int]:
        found = []
        for rule in _list(route, "rules"):
            refs = rule.get("backendRefs") or []
            stable = [ref for ref in refs if self._names(ref, backends.stable, backends)]
            if stable:
                canary = [ref for ref in refs if self._names(ref, backends.canary, backends)]
                found.append(_shares(sum(map(self._weight, stable)), sum(map(self._weight, canary))))
        return _farthest(found, wanted)

    def spec(self, route: Object, backends: Backends, weight: int) -> Object:
        rules = copy.deepcopy(_list(route, "rules"))
        touched = False
        for number, rule in enumerate(rules):
            refs = rule.get("backendRefs") or []
            stable = next((ref for ref in refs if self._names(ref, backends.stable, backends)), None)
            if stable is None:
                continue
            touched = True
            kept = [ref for ref in refs if not self._names(ref, backends.stable, backends)]
            kept = [ref for ref in kept if not self._names(ref, backends.canary, backends)]
            _refuse_others([ref.get("name") for ref in kept if self._weight(ref)], f"Rule {number} of HTTPRoute", route)
            canary = next((ref for ref in refs if self._names(ref, backends.canary, backends)), stable)
            written = {"group": "", "kind": "Service"}
            rule["backendRefs"] = [{**stable, **written, "weight": 100 - weight}, *kept]
            if weight:
                rule["backendRefs"].insert(1, {**canary, **written, "name": backends.canary, "weight": weight})
        if not touched:
            raise PlatformError(_names_none("HTTPRoute", route, "rule", backends.stable))
        return {"rules": rules}

    @staticmethod
    def new(name: str, backends: Backends, host: str | None, gateway: Object) -> Object:
        """A route for a first release, on one Gateway."""
        parent = {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "name": gateway["metadata"]["name"],
            "namespace": gateway["metadata"]["namespace"],
        }
        ref = {"group": "", "kind": "Service", "name": backends.stable, "port": backends.port, "weight": 100}
        spec: Object = {"parentRefs": [parent], "rules": [{"backendRefs": [ref]}]}
        if host:
            spec["hostnames"] = [host.partition(":")[0]]
        return {"metadata": {"name": name}, "spec": spec}

    @staticmethod
    def _names(ref: Object, name: str, backends: Backends) -> bool:
        here = ref.get("namespace", backends.namespace) == backends.namespace
        return here and ref.get("name") == name and not ref.get("group") and ref.get("kind", "Service") == "Service"

    @staticmethod
    def _weight(ref: Object) -> int:
        return int(ref.get("weight", 1))


class Istio:
    """VirtualService: weighted destinations in every ``http`` rule that names stable."""

    def weights(self, route: Object, backends: Backends, wanted: int) -> dict[Track, int]:
        found = []
        for rule in _list(route, "http"):
            entries = rule.get("route") or []
            stable = [it for it in entries if self._names(it, backends.stable, backends)]
            if stable:
                canary = [it for it in entries if self._names(it, backends.canary, backends)]
                alone = len(entries) == 1  # a single destination needs no weight
                found.append(
                    _shares(
                        sum(self._weight(it, alone) for it in stable), sum(self._weight(it, alone) for it in canary)
                    )
                )
        return _farthest(found, wanted)

    def spec(self, route: Object, backends: Backends, weight: int) -> Object:
        rules = copy.deepcopy(_list(route, "http"))
        touched = False
        for number, rule in enumerate(rules):
            entries = rule.get("route") or []
            stable = next((it for it in entries if self._names(it, backends.stable, backends)), None)
            if stable is None:
                continue
            touched = True
            kept = [it for it in entries if not self._names(it, backends.stable, backends)]
            kept = [it for it in kept if not self._names(it, backends.canary, backends)]
            others = [it.get("destination", {}).get("host") for it in kept if it.get("weight")]
            _refuse_others(others, f"HTTP rule {number} of VirtualService", route)
            canary = next((it for it in entries if self._names(it, backends.canary, backends)), None)
            rule["route"] = [{**stable, "weight": 100 - weight}, *kept]
            if weight:
                rule["route"].insert(1, {**(canary or self._beside(stable, backends)), "weight": weight})
        if not touched:
            raise PlatformError(_names_none("VirtualService", route, "http rule", backends.stable))
        return {"http": rules}

    @staticmethod
    def new(name: str, backends: Backends, host: str | None) -> Object:
        """A route for a first release, inside the mesh."""
        destination = {"host": backends.stable, "port": {"number": backends.port}}
        spec = {
            "hosts": [host.partition(":")[0] if host else backends.stable],
            "http": [{"route": [{"destination": destination, "weight": 100}]}],
        }
        return {"metadata": {"name": name}, "spec": spec}

    @staticmethod
    def _names(entry: Object, name: str, backends: Backends) -> bool:
        host = str(entry.get("destination", {}).get("host", ""))
        first, _, rest = host.partition(".")
        return first == name and (not rest or rest.split(".")[0] == backends.namespace)

    @staticmethod
    def _beside(stable: Object, backends: Backends) -> Object:
        """Stable's entry for the canary: its host in the same form; a subset would select stable's pods."""
        entry = copy.deepcopy(stable)
        _, dot, rest = entry["destination"]["host"].partition(".")
        entry["destination"]["host"] = backends.canary + dot + rest
        entry["destination"].pop("subset", None)
        return entry

    @staticmethod
    def _weight(entry: Object, alone: bool) -> int:
        return int(entry.get("weight", 0)) or (100 if alone else 0)


class Replicas:
    """A Service whose selector picks stable's pods, the canary's, or both; then their numbers make the weight."""

    def weights(self, route: Object, backends: Backends, wanted: int) -> dict[Track, int]:
        selector = route.get("spec", {}).get("selector") or {}
        if selector.get(TRACK) == "canary":
            return _shares(0, 100)
        if TRACK in selector or HASH in selector or not backends.canary_pods:
            return _shares(100, 0)
        if nearest(backends.stable_pods, backends.canary_pods, wanted):
            return _shares(100 - wanted, wanted)
        return _shares(backends.stable_pods, backends.canary_pods)

    def spec(self, route: Object, backends: Backends, weight: int) -> Object:
        selector: dict[str, str | None] = {TRACK: None, HASH: None}
        if weight == 100:
            selector[TRACK] = "canary"
        elif weight == 0 and backends.canary_exists:
            if backends.stable_pin is None:
                raise PlatformError(
                    f"Stable of {backends.stable} is in the middle of a rolling update: its pods have no label in common "
                    "that would take the canary out of the Service. A settled stable is expected."
                )
            selector[backends.stable_pin[0]] = backends.stable_pin[1]
        elif weight and not nearest(backends.stable_pods, backends.canary_pods, weight):
            found = share(backends.stable_pods, backends.canary_pods)
            raise PlatformError(
                f"{backends.canary_pods} canary pods beside {backends.stable_pods} stable pods make {found:.1f} % of the "
                f"traffic, {weight} % is wanted: other numbers of replicas are expected."
            )
        return {"selector": selector}


def route_patch(route: Object, router: Router, backends: Backends, weight: int, note: RouteNote, fence: int) -> Object:
    """The one write of a split: weights, note and fence, valid only for the route that it was made from."""
    return {
        "metadata": {
            "resourceVersion": route["metadata"]["resourceVersion"],
            "annotations": marks(weight, note, fence),
        },
        "spec": router.spec(route, backends, weight),
    }


def marks(weight: int, note: RouteNote, fence: int) -> dict[str, str]:
    """What is kept with the route."""
    return {NOTE: note.model_dump_json(exclude_none=True), FENCE: str(fence), WEIGHT: str(weight)}


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


def changed_by(route: Object, found: dict[Track, int]) -> str | None:
    """Who wrote the route last, when the weights are not those that we wrote (R14)."""
    written = annotation(route, WEIGHT)
    if written is None or str(found["canary"]) == written:
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


def _list(route: Object, key: str) -> list[Object]:
    return route.get("spec", {}).get(key) or []


def _refuse_others(names: list[Any], where: str, route: Object) -> None:
    if names:
        raise PlatformError(
            f"{where} {route['metadata']['name']} also sends traffic to {', '.join(map(str, names))}: "
            "only stable and the canary are expected there."
        )


def _names_none(kind: str, route: Object, rule: str, stable: str) -> str:
    return f"{kind} {route['metadata']['name']} has no {rule} that sends to Service {stable}: one is expected."


ROUTERS: dict[str, Router] = {"gateway_api": GatewayApi(), "istio": Istio(), "replicas": Replicas()}
