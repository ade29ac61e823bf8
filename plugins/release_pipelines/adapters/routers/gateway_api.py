"""HTTPRoute and GRPCRoute: weighted ``backendRefs`` in every rule that names stable."""

from __future__ import annotations

import copy
from typing import Any

from release_pipelines.adapters.kubernetes.annotations import APP, FENCE, NOTE, PREFIX, TRAFFIC, annotation
from release_pipelines.adapters.kubernetes.client import Client, Object, Resource
from release_pipelines.adapters.kubernetes.router import TRACK, Acceptance, Backends, KubernetesRouter, RouteResource
from release_pipelines.adapters.routers._gateways import GROUP, acceptance, single_gateway
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
from release_pipelines.core.errors import Forbidden, PlatformError
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.traffic import Match, Traffic
from release_pipelines.core.ports.router import Capability, Reserved

GRPC = "GRPCRoute"
MIRROR = "RequestMirror"
MIRROR_FEATURE = "HTTPRouteRequestMirror"
SUPPORTS = PREFIX + "supports"
"""Annotation of an HTTPRoute: what its controller can do beside the core of the Gateway API, like ``mirror,cookie``."""


class GatewayApi(KubernetesRouter):
    """Testers have rules of their own before the others; a mirror is a filter. Rules that send to no track stay as they are."""

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
        rules="all its backendRefs are Services of tracks beside stable",
    )

    def traffic(self, route: Object, backends: Backends, wanted: Traffic | None) -> Traffic:
        rules = entries(route, "rules")
        by_rule = [self._shares(rule, backends) for rule in rules if self._of(rule, "stable", backends)]
        own = next((rule for rule in rules if self._own(rule, backends)), None)
        mirrored = any(self._mirrors(it, backends) for rule in rules for it in rule.get("filters") or [])
        return Traffic(
            weights=farthest(by_rule, wanted), testers=_match(own) if own else None, mirror=100 if mirrored else 0
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
            refuse_others(others, f"Rule {number} of {_kind(route)}", route)
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
                testers.append({**copy.deepcopy(rule), **_for_testers(route, rule, traffic.testers, canary)})
        if not any(self._of(rule, "stable", backends) for rule in rules):
            raise PlatformError(names_none(_kind(route), route, "rule", backends.stable))
        return {"rules": [*testers, *rules]}

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
        asked |= {"cookie"} if traffic.testers and traffic.testers.kind == "cookie" else set()
        missing = asked - supported
        if "mirror" in missing and _kind(route) != GRPC and await self._mirroring_is_known(client, target, route):
            missing.remove("mirror")
        if missing:
            every = ",".join(sorted(asked | supported - {""}))
            raise PlatformError(
                f"The controller of {_kind(route)} {route['metadata']['name']} is not known to support `{min(missing)}`, and one "
                f"that does not might drop the route: annotate the route with {SUPPORTS}={every} if it does."
            )

    async def _mirroring_is_known(self, client: Client, target: Target, route: Object) -> bool:
        """Whether the controllers of all parents say that they mirror requests."""
        api = (await self.resource.served(client, target.router.kind)).api
        parents = route["spec"].get("parentRefs") or []
        try:
            for parent in parents:
                where = str(parent.get("namespace") or target.namespace)
                gateway = await client.get(Resource(api, "gateways", "Gateway"), where, str(parent.get("name"))) or {}
                name = str(gateway.get("spec", {}).get("gatewayClassName", ""))
                controller = await client.get(Resource(api, "gatewayclasses", "GatewayClass"), None, name) or {}
                features = controller.get("status", {}).get("supportedFeatures") or []
                if MIRROR_FEATURE not in [it.get("name") if isinstance(it, dict) else it for it in features]:
                    return False
        except Forbidden:  # an account of one namespace need not see classes
            return False
        return bool(parents)

    def _shares(self, rule: Object, backends: Backends) -> dict[Track, int]:
        tracks: tuple[Track, ...] = ("stable", *BESIDE)
        return shares({it: sum(map(_weight, self._of(rule, it, backends))) for it in tracks})

    def _of(self, rule: Object, track: Track, backends: Backends) -> list[Object]:
        return [ref for ref in rule.get("backendRefs") or [] if self._track(ref, backends) == track]

    def _own(self, rule: Object, backends: Backends) -> bool:
        return made_here([self._track(it, backends) for it in rule.get("backendRefs") or []])

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


def _kind(route: Object) -> str:
    return str(route.get("kind", "HTTPRoute"))


def _for_testers(route: Object, rule: Object, testers: Match, canary: Object) -> Object:
    header = {"type": "Exact", "name": testers.name, "value": testers.value}
    if testers.kind == "cookie":
        pattern = cookie_pattern(testers.name, testers.value)
        header = {"type": "RegularExpression", "name": "Cookie", "value": pattern}
    every: Object = {} if _kind(route) == GRPC else {"path": {"type": "PathPrefix", "value": "/"}}
    matches = rule.get("matches") or [every]
    matches = [{**it, "headers": [*(it.get("headers") or []), header]} for it in matches]
    return {"matches": matches, "backendRefs": [{**canary, "weight": 100}]}


def _match(rule: Object) -> Match | None:
    headers = [it for match in rule.get("matches") or [] for it in match.get("headers") or []]
    return match_in([(it["name"], it.get("type", "Exact"), it["value"]) for it in headers])


ROUTER = GatewayApi()
