"""VirtualService: weighted destinations in every ``http`` rule that names stable."""

from __future__ import annotations

import copy

from release_pipelines.adapters.kubernetes.annotations import APP, FENCE, NOTE, TRAFFIC, traffic_of
from release_pipelines.adapters.kubernetes.client import Client, Object
from release_pipelines.adapters.kubernetes.router import TRACK, Backends, KubernetesRouter, RouteResource
from release_pipelines.adapters.routers._rules import (
    Headers,
    cookie_pattern,
    entries,
    farthest,
    is_own,
    mark,
    names_none,
    put_before,
    refuse_asked_already,
    rule_entries,
    shares,
    testers_read,
)
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.traffic import Match, Traffic
from release_pipelines.core.ports.router import Capability, Reserved


class Istio(KubernetesRouter):
    """Testers have a rule of their own before each that names stable. Rules that send to no track stay as they are."""

    capabilities: frozenset[Capability] = frozenset({"match", "mirror", "baseline"})
    dialect = "istio"
    resource = RouteResource("networking.istio.io", ("v1", "v1beta1", "v1alpha3"), "virtualservices", "VirtualService")
    reserved = Reserved(
        labels=(TRACK,),
        annotations=(NOTE, FENCE, TRAFFIC, APP),
        rules="its name begins with the app's and `.release-pipelines.`",
    )

    def traffic(self, route: Object, backends: Backends, wanted: Traffic | None) -> Traffic:
        own, rules = self._sorted(route, backends)
        split = [rule for rule in rules if self._of(rule, "stable", backends)]
        mirrored = [self._mirrored(rule, backends) for rule in split]
        asked = [_headers(it) for it in own if self._tracks(it, backends) == {"canary"}]
        goal = wanted.mirror if wanted else 0
        return Traffic(
            weights=farthest([self._shares(rule, backends) for rule in split], wanted),
            testers=testers_read(asked, [_headers(it) for it in split], wanted),
            mirror=max(mirrored, key=lambda percent: abs(percent - goal), default=0),
        )

    def spec(self, route: Object, backends: Backends, traffic: Traffic) -> Object:
        if traffic.sticky:
            raise PlatformError("Router `istio` cannot keep a client on its track: `affinity: false` is expected.")
        _, rules = self._sorted(route, backends)
        result, copies = [], 0
        for number, found in enumerate(rules):
            stable = next(iter(self._of(found, "stable", backends)), None)
            if stable is None:
                result.append(found)
                continue
            where = f"HTTP rule {number} of VirtualService {route['metadata']['name']}"
            rule = self._without_mirror(copy.deepcopy(found), backends)
            destinations, canary = rule["route"], self._beside(stable, "canary", backends)
            rule["route"] = rule_entries(
                destinations,
                lambda it: self._track(it, backends),
                lambda it: _weight(it, len(destinations) == 1),  # noqa: B023 - called at once
                lambda it, track, weight: {**self._for(it, track, backends), "weight": weight},
                traffic,
                where,
            )
            if traffic.testers:  # the first that fits counts, and behind one without conditions none is reached
                matches = _for_testers(rule, traffic.testers, where)
                name, copies = f"{mark(backends)}{copies}", copies + 1
                own = {"name": name, "match": matches, "route": [{**canary, "weight": 100}]}
                put_before(result, {**copy.deepcopy(rule), **own}, lambda it: not it.get("match"))
            if traffic.mirror:
                _mirror(rule, canary["destination"], traffic.mirror, where)
            result.append(rule)
        if not any(self._of(rule, "stable", backends) for rule in rules):
            raise PlatformError(names_none("VirtualService", route, "http rule", backends.stable))
        return {"http": result}

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

    def _sorted(self, route: Object, backends: Backends) -> tuple[list[Object], list[Object]]:
        """The rules that a release has added, and the team's."""
        written = traffic_of(route, backends.app)
        condition = _condition(written.testers) if written and written.testers else None
        own: list[Object] = []
        others: list[Object] = []
        for rule in entries(route, "http"):
            matches = rule.get("match") or []
            for_written = bool(matches) and condition is not None
            for_written = for_written and all(condition in (it.get("headers") or {}).items() for it in matches)
            is_its_own = is_own(rule, self._tracks(rule, backends), backends, for_written=for_written)
            (own if is_its_own else others).append(rule)
        return own, others

    def _tracks(self, rule: Object, backends: Backends) -> set[Track | None]:
        return {self._track(it, backends) for it in rule.get("route") or []}

    def _mirrored(self, rule: Object, backends: Backends) -> int:
        """Percent of the requests that the canary gets a copy of."""
        mirrors = [(rule.get("mirror"), rule.get("mirrorPercentage"))]
        mirrors += [(it.get("destination"), it.get("percentage")) for it in rule.get("mirrors") or []]
        for destination, percentage in mirrors:
            if destination and self._track({"destination": destination}, backends) == "canary":
                return int((percentage or {}).get("value", 100))
        return 0

    def _without_mirror(self, rule: Object, backends: Backends) -> Object:
        if rule.get("mirror") and self._track({"destination": rule["mirror"]}, backends) == "canary":
            del rule["mirror"]
            rule.pop("mirrorPercentage", None)
        mirrors = rule.get("mirrors") or []
        kept = [it for it in mirrors if self._track(it, backends) != "canary"]
        if len(kept) < len(mirrors):
            rule["mirrors"] = kept
        return rule

    @staticmethod
    def _track(entry: Object, backends: Backends) -> Track | None:
        first, _, rest = str(entry.get("destination", {}).get("host", "")).partition(".")
        return backends.track(first) if not rest or rest.split(".")[0] == backends.namespace else None

    def _for(self, entry: Object, track: Track, backends: Backends) -> Object:
        """The entry of a track, made from its own or from stable's."""
        return entry if self._track(entry, backends) == track else self._beside(entry, track, backends)

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


def _condition(testers: Match) -> tuple[str, Object]:
    """The condition of testers' requests: the header, and what it has to be."""
    if testers.kind == "cookie":
        return "cookie", {"regex": cookie_pattern(testers.name, testers.value)}
    return testers.name.lower(), {"exact": testers.value}


def _for_testers(rule: Object, testers: Match, where: str) -> list[Object]:
    """The rule's own conditions, each with that of the testers."""
    name, condition = _condition(testers)
    refuse_asked_already(_headers(rule), name, where)
    return [{**it, "headers": {**(it.get("headers") or {}), name: condition}} for it in rule.get("match") or [{}]]


def _headers(rule: Object) -> Headers:
    """The conditions of a rule for headers."""
    headers = [item for match in rule.get("match") or [] for item in (match.get("headers") or {}).items()]
    return [
        (name, "Exact" if "exact" in it else "RegularExpression", str(next(iter(it.values()), "")))
        for name, it in headers
    ]


def _mirror(rule: Object, canary: Object, percent: int, where: str) -> None:
    """Give the canary copies, beside those of the team's own."""
    if rule.get("mirrors"):
        rule["mirrors"] = [*rule["mirrors"], {"destination": canary, "percentage": {"value": percent}}]
    elif rule.get("mirror"):
        raise PlatformError(
            f"{where} mirrors to {rule['mirror'].get('host')} already, and `mirror` is one: as an entry of `mirrors` it can stay "
            "beside the canary's copies."
        )
    else:
        rule |= {"mirror": canary, "mirrorPercentage": {"value": percent}}


ROUTER = Istio()
