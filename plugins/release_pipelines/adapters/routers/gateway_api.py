"""HTTPRoute: weighted ``backendRefs`` in every rule that names stable."""

from __future__ import annotations

import copy
from typing import Any

from release_pipelines.adapters.kubernetes.client import Object
from release_pipelines.adapters.routers.base import (
    Backends,
    cookie_pattern,
    entries,
    farthest,
    names_none,
    refuse_others,
    shares,
)
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.traffic import Match, Traffic

MIRROR = "RequestMirror"


class GatewayApi:
    """Testers have rules of their own before the others; a mirror is a filter. Rules that send to no track stay as they are."""

    def traffic(self, route: Object, backends: Backends, wanted: Traffic | None) -> Traffic:
        rules = entries(route, "rules")
        found = [self._shares(rule, backends) for rule in rules if self._of(rule, "stable", backends)]
        own = next((rule for rule in rules if self._own(rule, backends)), None)
        mirrored = any(self._mirrors(it, backends) for rule in rules for it in rule.get("filters") or [])
        return Traffic(
            weights=farthest(found, wanted), testers=_match(own) if own else None, mirror=100 if mirrored else 0
        )

    def spec(self, route: Object, backends: Backends, traffic: Traffic) -> Object:
        if traffic.sticky:
            raise PlatformError(
                "Router `gateway_api` cannot keep a client on its track: `affinity: false` is expected."
            )
        if traffic.mirror not in (0, 100):
            raise PlatformError(
                f"Router `gateway_api` mirrors all requests or none: `mirror: {traffic.mirror}` cannot be."
            )
        rules = [copy.deepcopy(rule) for rule in entries(route, "rules") if not self._own(rule, backends)]
        testers = []
        for number, rule in enumerate(rules):
            refs = rule.get("backendRefs") or []
            stable = next(iter(self._of(rule, "stable", backends)), None)
            if stable is None:
                continue
            kept = [ref for ref in refs if self._track(ref, backends) is None]
            others = [ref.get("name") for ref in kept if _weight(ref)]
            refuse_others(others, f"Rule {number} of HTTPRoute", route)
            named = {it: next(iter(self._of(rule, it, backends)), stable) for it in BESIDE}
            written = {"group": "", "kind": "Service"}
            rule["backendRefs"] = [
                {**stable, **written, "weight": traffic.weight("stable")},
                *(
                    {**ref, **written, "name": backends.service(track), "weight": traffic.weight(track)}
                    for track, ref in named.items()
                    if traffic.weight(track)
                ),
                *kept,
            ]
            canary = {key: stable[key] for key in ("port",) if key in stable}
            canary = {**written, "name": backends.service("canary"), **canary}
            filters = [it for it in rule.get("filters") or [] if not self._mirrors(it, backends)]
            if traffic.mirror:
                filters.append({"type": MIRROR, "requestMirror": {"backendRef": canary}})
            if filters:
                rule["filters"] = filters
            else:
                rule.pop("filters", None)
            if traffic.testers:
                testers.append({**copy.deepcopy(rule), **_for_testers(rule, traffic.testers, canary)})
        if not any(self._of(rule, "stable", backends) for rule in rules):
            raise PlatformError(names_none("HTTPRoute", route, "rule", backends.stable))
        return {"rules": [*testers, *rules]}

    @staticmethod
    def new(name: str, backends: Backends, host: str | None, gateway: Object, track: Track = "stable") -> Object:
        """A route to one track, on one Gateway."""
        parent = {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "name": gateway["metadata"]["name"],
            "namespace": gateway["metadata"]["namespace"],
        }
        return GatewayApi.beside(name, backends, host, [parent], track)

    @staticmethod
    def beside(name: str, backends: Backends, host: str | None, parents: list[Any], track: Track) -> Object:
        """A route to one track, with the parents of another route."""
        ref = {"group": "", "kind": "Service", "name": backends.service(track), "port": backends.port, "weight": 100}
        spec: Object = {"parentRefs": parents, "rules": [{"backendRefs": [ref]}]}
        if host:
            spec["hostnames"] = [host.partition(":")[0]]
        return {"metadata": {"name": name}, "spec": spec}

    def _shares(self, rule: Object, backends: Backends) -> dict[Track, int]:
        tracks: tuple[Track, ...] = ("stable", *BESIDE)
        return shares({it: sum(map(_weight, self._of(rule, it, backends))) for it in tracks})

    def _of(self, rule: Object, track: Track, backends: Backends) -> list[Object]:
        return [ref for ref in rule.get("backendRefs") or [] if self._track(ref, backends) == track]

    def _own(self, rule: Object, backends: Backends) -> bool:
        """Whether the rule was made here: it sends to nothing but tracks beside stable."""
        tracks = [self._track(ref, backends) for ref in rule.get("backendRefs") or []]
        return bool(tracks) and all(it in BESIDE for it in tracks)

    def _mirrors(self, it: Object, backends: Backends) -> bool:
        ref = (it.get("requestMirror") or {}).get("backendRef") or {}
        return it.get("type") == MIRROR and ref.get("name") == backends.service("canary")

    @staticmethod
    def _track(ref: Object, backends: Backends) -> Track | None:
        here = ref.get("namespace", backends.namespace) == backends.namespace
        if not here or ref.get("group") or ref.get("kind", "Service") != "Service":
            return None
        return backends.track(str(ref.get("name")))


def _weight(ref: Object) -> int:
    return int(ref.get("weight", 1))


def _for_testers(rule: Object, testers: Match, canary: Object) -> Object:
    header = {"type": "Exact", "name": testers.name, "value": testers.value}
    if testers.kind == "cookie":
        pattern = cookie_pattern(testers.name, testers.value)
        header = {"type": "RegularExpression", "name": "Cookie", "value": pattern}
    matches = rule.get("matches") or [{"path": {"type": "PathPrefix", "value": "/"}}]
    matches = [{**it, "headers": [*(it.get("headers") or []), header]} for it in matches]
    return {"matches": matches, "backendRefs": [{**canary, "weight": 100}]}


def _match(rule: Object) -> Match | None:
    headers = [it for match in rule.get("matches") or [] for it in match.get("headers") or []]
    return match_in([(it["name"], it.get("type", "Exact"), it["value"]) for it in headers])


def match_in(headers: list[tuple[str, str, str]]) -> Match | None:
    """The testers that a rule made here is for, from its headers' names, types and values."""
    if not headers:
        return None
    name, kind, value = headers[-1]
    if kind == "Exact":
        return Match(kind="header", name=name, value=value)
    cookie, _, said = value.partition("\\s*)")[2].partition("(;")[0].partition("=")
    return Match(kind="cookie", name=cookie, value=said)
