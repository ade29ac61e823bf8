"""HTTPRoute and GRPCRoute: weighted ``backendRefs`` in every rule that names stable."""

from __future__ import annotations

import copy
from typing import Any

from release_pipelines.adapters.kubernetes.annotations import APP, FENCE, NOTE, PREFIX, TRAFFIC, annotation, traffic_of
from release_pipelines.adapters.kubernetes.client import Client, Object, Resource
from release_pipelines.adapters.kubernetes.router import TRACK, Acceptance, Backends, KubernetesRouter, RouteResource
from release_pipelines.adapters.routers._gateways import GROUP, acceptance, single_gateway
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
from release_pipelines.core.errors import Forbidden, PlatformError
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.traffic import Match, Traffic
from release_pipelines.core.ports.router import Capability, Reserved

GRPC = "GRPCRoute"
CONTOUR = "projectcontour.io/"
"""How the names of Contour's controllers begin. Its Envoys get routes, and what these send to, by different streams."""
MIRROR = "RequestMirror"
MIRROR_FEATURES = {"mirror": "HTTPRouteRequestMirror", "mirrors": "HTTPRouteRequestMultipleMirrors"}
"""What controllers call it to mirror requests, and to mirror them to more than one."""
SERVICE = {"group": "", "kind": "Service"}
SUPPORTS = PREFIX + "supports"
"""Annotation of an HTTPRoute: what its controller can do beside the core of the Gateway API, like ``mirror,cookie``."""


class GatewayApi(KubernetesRouter):
    """Testers have a rule of their own before each that names stable; a mirror is a filter. Rules that send to no track stay as they are."""

    capabilities: frozenset[Capability] = frozenset({"match", "mirror", "baseline"})
    mirror_percentages = (100,)
    dialect = "traefik_gateway_api"
    resource = RouteResource(GROUP, ("v1", "v1beta1"), "httproutes", "HTTPRoute")
    also = (RouteResource(GROUP, ("v1", "v1alpha2"), "grpcroutes", GRPC),)
    new_routes_let_in = True
    previews_have_route = True
    reserved = Reserved(
        labels=(TRACK,),
        annotations=(NOTE, FENCE, TRAFFIC, APP, SUPPORTS),
        rules="its name begins with the app's and `.release-pipelines.`",
    )

    def traffic(self, route: Object, backends: Backends, wanted: Traffic | None) -> Traffic:
        own, rules = self._sorted(route, backends)
        split = [rule for rule in rules if self._of(rule, "stable", backends)]
        mirrored = [any(self._mirrors(it, backends) for it in rule.get("filters") or []) for rule in split]
        every = bool(wanted and wanted.mirror)
        asked = [_headers(it) for it in own if self._tracks(it, backends) == {"canary"}]
        return Traffic(
            weights=farthest([self._shares(rule, backends) for rule in split], wanted),
            testers=testers_read(asked, [_headers(it) for it in split], wanted),
            mirror=100 if mirrored and (all(mirrored) if every else any(mirrored)) else 0,
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
        _, rules = self._sorted(route, backends)
        result, copies = [], 0
        for number, found in enumerate(rules):
            stable = next(iter(self._of(found, "stable", backends)), None)
            if stable is None:
                result.append(found)
                continue
            where = f"Rule {number} of {_kind(route)} {route['metadata']['name']}"
            rule = self._without_mirror(copy.deepcopy(found), backends)
            refs = rule["backendRefs"]
            rule["backendRefs"] = rule_entries(
                refs,
                lambda it: self._track(it, backends),
                _weight,
                lambda it, track, weight: {**it, **SERVICE, "name": backends.service(track), "weight": weight},
                traffic,
                where,
                backends.named,
            )
            if (
                traffic.testers
            ):  # of two that fit as well the first counts: of the same number of headers, among other things
                canary = {**copy.deepcopy(stable), **SERVICE, "name": backends.service("canary"), "weight": 100}
                matches = _for_testers(route, rule, traffic.testers, where)
                name, copies = f"{mark(backends)}{copies}", copies + 1
                own = {**copy.deepcopy(rule), "name": name, "matches": matches, "backendRefs": [canary]}
                put_before(result, own, lambda it: not _headers(it))
            if traffic.mirror:
                copied = {**SERVICE, "name": backends.service("canary")}
                copied |= {key: stable[key] for key in ("port",) if key in stable}
                mirror = {"type": MIRROR, "requestMirror": {"backendRef": copied}}
                rule["filters"] = [*(rule.get("filters") or []), mirror]
            result.append(rule)
        if not any(self._of(rule, "stable", backends) for rule in rules):
            raise PlatformError(names_none(_kind(route), route, "rule", backends.stable))
        _refuse_too_many(route, result)
        return {"rules": result}

    def names_ahead(self, route: Object) -> bool:
        parents = route.get("status", {}).get("parents") or []
        return any(str(it.get("controllerName", "")).startswith(CONTOUR) for it in parents)

    def without(self, route: Object, backends: Backends, track: Track) -> Object | None:
        rules = copy.deepcopy(entries(route, "rules"))
        for rule in rules:
            if {"stable", track} <= self._tracks(rule, backends):
                rule["backendRefs"] = [it for it in rule["backendRefs"] if self._track(it, backends) != track]
        return None if rules == entries(route, "rules") else {"rules": rules}

    def ports(self, route: Object, backends: Backends) -> list[int]:
        refs = [ref for rule in entries(route, "rules") for ref in self._of(rule, "stable", backends)]
        return [int(it["port"]) for it in refs if "port" in it]

    async def new_route(self, client: Client, target: Target, name: str, backends: Backends) -> Object:
        kind = await self.resource.served(client, target.router.kind)
        gateway = await single_gateway(client, target, kind.api, kind.kind)
        parent = {
            "group": GROUP,
            "kind": "Gateway",
            "name": gateway["metadata"]["name"],
            "namespace": gateway["metadata"]["namespace"],
        }
        return _route(name, backends, target.host, [parent], "stable")

    def acceptance(self, route: Object) -> Acceptance:
        return acceptance(route)

    def preview_route(self, name: str, route: Object, backends: Backends, host: str | None) -> Object:
        return _route(name, backends, host, route["spec"].get("parentRefs") or [], "preview")

    async def refuse_unsupported(self, client: Client, target: Target, route: Object, traffic: Traffic) -> None:
        """Raise unless the HTTPRoute's controller is known to do what not every controller of the Gateway API can.

        One that does not know a filter or a kind of match may answer all its requests with an error, as Traefik 3.7 does where
        a rule mirrors, or drop every route of the Gateway, as Traefik 3.0 did: nobody would be served any more. A controller
        says in ``status.supportedFeatures`` of its GatewayClass that it mirrors; for one that does not say so, and for
        cookies, which are no feature with a name, the team says it in :data:`SUPPORTS`.

        :raises PlatformError: naming the step's key, and the annotation.
        """
        supported = {it.strip() for it in (annotation(route, SUPPORTS) or "").split(",")}
        asked = {"mirror"} if traffic.mirror else set()
        asked |= {"mirrors"} if traffic.mirror and _mirrored_elsewhere(route, target) else set()
        asked |= {"cookie"} if traffic.testers and traffic.testers.kind == "cookie" else set()
        missing = asked - supported
        if missing & MIRROR_FEATURES.keys() and _kind(route) != GRPC:
            known = await self._known_features(client, target, route)
            missing -= {it for it, feature in MIRROR_FEATURES.items() if feature in known}
        if missing:
            every = ",".join(sorted(asked | supported - {""}))
            raise PlatformError(
                f"The controller of {_kind(route)} {route['metadata']['name']} is not known to support `{min(missing)}`, and one "
                f"that does not might drop the route: annotate the route with {SUPPORTS}={every} if it does."
            )

    async def _known_features(self, client: Client, target: Target, route: Object) -> set[str]:
        """What the controllers of all parents say that they can do."""
        api = (await self.resource.served(client, target.router.kind)).api
        known: list[set[str]] = []
        try:
            for parent in route["spec"].get("parentRefs") or []:
                where = str(parent.get("namespace") or target.namespace)
                gateway = await client.get(Resource(api, "gateways", "Gateway"), where, str(parent.get("name"))) or {}
                name = str(gateway.get("spec", {}).get("gatewayClassName", ""))
                controller = await client.get(Resource(api, "gatewayclasses", "GatewayClass"), None, name) or {}
                features = controller.get("status", {}).get("supportedFeatures") or []
                known.append({str(it.get("name") if isinstance(it, dict) else it) for it in features})
        except Forbidden:  # an account of one namespace need not see classes
            return set()
        return set.intersection(*known) if known else set()

    def _shares(self, rule: Object, backends: Backends) -> dict[Track, int]:
        tracks: tuple[Track, ...] = ("stable", *BESIDE)
        return shares({it: sum(map(_weight, self._of(rule, it, backends))) for it in tracks})

    def _of(self, rule: Object, track: Track, backends: Backends) -> list[Object]:
        return [ref for ref in rule.get("backendRefs") or [] if self._track(ref, backends) == track]

    def _sorted(self, route: Object, backends: Backends) -> tuple[list[Object], list[Object]]:
        """The rules that a release has added, and the team's."""
        written = traffic_of(route, backends.app)
        header = _header(written.testers) if written and written.testers else None
        own: list[Object] = []
        others: list[Object] = []
        for rule in entries(route, "rules"):
            matches = rule.get("matches") or []
            for_written = bool(matches) and header is not None
            for_written = for_written and all(header in _headers({"matches": [it]}) for it in matches)
            is_its_own = is_own(rule, self._tracks(rule, backends), backends, for_written=for_written)
            (own if is_its_own else others).append(rule)
        return own, others

    def _tracks(self, rule: Object, backends: Backends) -> set[Track | None]:
        return {self._track(it, backends) for it in rule.get("backendRefs") or []}

    def _without_mirror(self, rule: Object, backends: Backends) -> Object:
        filters = rule.get("filters") or []
        kept = [it for it in filters if not self._mirrors(it, backends)]
        if len(kept) < len(filters):
            rule["filters"] = kept
            if not kept:
                del rule["filters"]
        return rule

    def _mirrors(self, it: Object, backends: Backends) -> bool:
        ref = (it.get("requestMirror") or {}).get("backendRef") or {}
        return it.get("type") == MIRROR and ref.get("name") == backends.service("canary")

    @staticmethod
    def _track(ref: Object, backends: Backends) -> Track | None:
        here = ref.get("namespace", backends.namespace) == backends.namespace
        if not here or ref.get("group") or ref.get("kind", "Service") != "Service":
            return None
        return backends.track(str(ref.get("name")))


def _route(name: str, backends: Backends, host: str | None, parents: list[Any], track: Track) -> Object:
    """A route that sends everything to one track."""
    ref = {"group": "", "kind": "Service", "name": backends.service(track), "port": backends.port, "weight": 100}
    spec: Object = {"parentRefs": parents, "rules": [{"backendRefs": [ref]}]}
    if host:
        spec["hostnames"] = [host.partition(":")[0]]
    return {"metadata": {"name": name}, "spec": spec}


def _weight(ref: Object) -> int:
    return int(ref.get("weight", 1))


def _mirrored_elsewhere(route: Object, target: Target) -> bool:
    """Whether the team mirrors requests itself."""
    filters = [it for rule in entries(route, "rules") for it in rule.get("filters") or [] if it.get("type") == MIRROR]
    canary = f"{target.workload.name or target.app}-canary"
    return any((it.get("requestMirror") or {}).get("backendRef", {}).get("name") != canary for it in filters)


def _kind(route: Object) -> str:
    return str(route.get("kind", "HTTPRoute"))


def _header(testers: Match) -> tuple[str, str, str]:
    """The condition of testers' requests."""
    if testers.kind == "cookie":
        return "Cookie", "RegularExpression", cookie_pattern(testers.name, testers.value)
    return testers.name, "Exact", testers.value


def _for_testers(route: Object, rule: Object, testers: Match, where: str) -> list[Object]:
    """The rule's own conditions, each with that of the testers."""
    name, kind, value = _header(testers)
    every: Object = {} if _kind(route) == GRPC else {"path": {"type": "PathPrefix", "value": "/"}}
    matches = rule.get("matches") or [every]
    refuse_asked_already(_headers({"matches": matches}), name, where)
    header = {"type": kind, "name": name, "value": value}
    return [{**it, "headers": [*(it.get("headers") or []), header]} for it in matches]


def _headers(rule: Object) -> Headers:
    """The conditions of a rule for headers."""
    headers = [it for match in rule.get("matches") or [] for it in match.get("headers") or []]
    return [(it["name"], it.get("type", "Exact"), it["value"]) for it in headers]


def _refuse_too_many(route: Object, rules: list[Object]) -> None:
    """Raise when the route would have more of something than the Gateway API allows."""

    def most(key: str, within: list[Object]) -> int:
        return max((len(it.get(key) or []) for it in within), default=0)

    matches = [match for rule in rules for match in rule.get("matches") or []]
    counts = {
        "rules": (len(rules), 16),
        "matches in all rules": (len(matches), 128),
        "matches in one rule": (most("matches", rules), 64),
        "headers in one match": (most("headers", matches), 16),
        "backendRefs in one rule": (most("backendRefs", rules), 16),
        "filters in one rule": (most("filters", rules), 16),
    }
    for what, (number, limit) in counts.items():
        if number > limit:
            raise PlatformError(
                f"{_kind(route)} {route['metadata']['name']} would have {number} {what} with what a release adds: at most "
                f"{limit} are possible. Fewer, or a route of the app's own, are expected."
            )


ROUTER = GatewayApi()
