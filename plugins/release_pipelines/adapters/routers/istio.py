"""VirtualService: weighted destinations in every ``http`` rule that names stable."""

from __future__ import annotations

import copy

from release_pipelines.adapters.kubernetes.annotations import APP, FENCE, NOTE, TRAFFIC
from release_pipelines.adapters.kubernetes.client import Client, Object
from release_pipelines.adapters.kubernetes.router import TRACK, Backends, KubernetesRouter, RouteResource
from release_pipelines.adapters.routers._rules import (
    cookie_pattern,
    entries,
    farthest,
    made_here,
    match_in,
    names_none,
    refuse_others,
    shares,
)
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.traffic import Match, Traffic
from release_pipelines.core.ports.router import Capability, Reserved


class Istio(KubernetesRouter):
    """Testers have rules of their own before the others. Rules that send to no track stay as they are."""

    capabilities: frozenset[Capability] = frozenset({"match", "mirror", "baseline"})
    dialect = "istio"
    resource = RouteResource("networking.istio.io", ("v1", "v1beta1", "v1alpha3"), "virtualservices", "VirtualService")
    reserved = Reserved(
        labels=(TRACK,),
        annotations=(NOTE, FENCE, TRAFFIC, APP),
        rules="all its destinations are Services of tracks beside stable",
    )

    def traffic(self, route: Object, backends: Backends, wanted: Traffic | None) -> Traffic:
        rules = entries(route, "http")
        by_rule = [self._shares(rule, backends) for rule in rules if self._of(rule, "stable", backends)]
        own = next((rule for rule in rules if self._own(rule, backends)), None)
        mirror = next((it for rule in rules if (it := self._mirrored(rule, backends))), 0)
        return Traffic(weights=farthest(by_rule, wanted), testers=_match(own) if own else None, mirror=mirror)

    def spec(self, route: Object, backends: Backends, traffic: Traffic) -> Object:
        if traffic.sticky:
            raise PlatformError("Router `istio` cannot keep a client on its track: `affinity: false` is expected.")
        rules = [copy.deepcopy(rule) for rule in entries(route, "http") if not self._own(rule, backends)]
        testers = []
        for number, rule in enumerate(rules):
            destinations = rule.get("route") or []
            stable = next(iter(self._of(rule, "stable", backends)), None)
            if stable is None:
                continue
            kept = [it for it in destinations if self._track(it, backends) is None]
            others = [it.get("destination", {}).get("host") for it in kept if it.get("weight")]
            refuse_others(others, f"HTTP rule {number} of VirtualService", route)
            named = {it: next(iter(self._of(rule, it, backends)), None) for it in BESIDE}
            rule["route"] = [
                {**stable, "weight": traffic.weight("stable")},
                *(
                    {**(it or self._beside(stable, track, backends)), "weight": traffic.weight(track)}
                    for track, it in named.items()
                    if traffic.weight(track)
                ),
                *kept,
            ]
            canary = self._beside(stable, "canary", backends)
            if traffic.mirror:
                rule |= {"mirror": canary["destination"], "mirrorPercentage": {"value": traffic.mirror}}
            elif self._mirrored(rule, backends):
                del rule["mirror"]
                rule.pop("mirrorPercentage", None)
            if traffic.testers:
                testers.append(
                    {
                        **copy.deepcopy(rule),
                        "match": _for_testers(rule, traffic.testers),
                        "route": [{**canary, "weight": 100}],
                    }
                )
        if not any(self._of(rule, "stable", backends) for rule in rules):
            raise PlatformError(names_none("VirtualService", route, "http rule", backends.stable))
        return {"http": [*testers, *rules]}

    def ports(self, route: Object, backends: Backends) -> list[int]:
        found = [it["destination"] for rule in entries(route, "http") for it in self._of(rule, "stable", backends)]
        return [int(it["port"]["number"]) for it in found if "number" in (it.get("port") or {})]

    async def new_route(self, client: Client, target: Target, name: str, backends: Backends) -> Object:
        """A route for a first release, inside the mesh."""
        destination = {"host": backends.stable, "port": {"number": backends.port}}
        spec = {
            "hosts": [target.host.partition(":")[0] if target.host else backends.stable],
            "http": [{"route": [{"destination": destination, "weight": 100}]}],
        }
        return {"metadata": {"name": name}, "spec": spec}

    def _shares(self, rule: Object, backends: Backends) -> dict[Track, int]:
        alone = len(rule.get("route") or []) == 1  # a single destination needs no weight
        tracks: tuple[Track, ...] = ("stable", *BESIDE)
        return shares({it: sum(_weight(e, alone) for e in self._of(rule, it, backends)) for it in tracks})

    def _of(self, rule: Object, track: Track, backends: Backends) -> list[Object]:
        return [it for it in rule.get("route") or [] if self._track(it, backends) == track]

    def _own(self, rule: Object, backends: Backends) -> bool:
        return made_here([self._track(it, backends) for it in rule.get("route") or []])

    def _mirrored(self, rule: Object, backends: Backends) -> int:
        if self._track({"destination": rule.get("mirror") or {}}, backends) != "canary":
            return 0
        return int((rule.get("mirrorPercentage") or {}).get("value", 100))

    @staticmethod
    def _track(entry: Object, backends: Backends) -> Track | None:
        first, _, rest = str(entry.get("destination", {}).get("host", "")).partition(".")
        return backends.track(first) if not rest or rest.split(".")[0] == backends.namespace else None

    @staticmethod
    def _beside(stable: Object, track: Track, backends: Backends) -> Object:
        """Stable's entry for another track: its host in the same form; a subset would select stable's pods."""
        entry = copy.deepcopy(stable)
        _, dot, rest = entry["destination"]["host"].partition(".")
        entry["destination"]["host"] = backends.service(track) + dot + rest
        entry["destination"].pop("subset", None)
        return entry


def _weight(entry: Object, alone: bool) -> int:
    return int(entry.get("weight", 0)) or (100 if alone else 0)


def _for_testers(rule: Object, testers: Match) -> list[Object]:
    condition = {testers.name.lower(): {"exact": testers.value}}
    if testers.kind == "cookie":
        condition = {"cookie": {"regex": cookie_pattern(testers.name, testers.value)}}
    return [{**it, "headers": {**(it.get("headers") or {}), **condition}} for it in rule.get("match") or [{}]]


def _match(rule: Object) -> Match | None:
    headers = [item for match in rule.get("match") or [] for item in (match.get("headers") or {}).items()]
    return match_in(
        [(name, "Exact" if "exact" in it else "RegularExpression", next(iter(it.values()))) for name, it in headers]
    )


ROUTER = Istio()
