"""A Service whose selector picks stable's pods, another track's, or both; then their numbers make the weight."""

from __future__ import annotations

from release_pipelines.adapters.kubernetes.annotations import APP, FENCE, NOTE, TRAFFIC, apps_on, name_of
from release_pipelines.adapters.kubernetes.client import Client, Object
from release_pipelines.adapters.kubernetes.router import HASH, TRACK, Backends, KubernetesRouter, RouteResource
from release_pipelines.adapters.routers._rules import shares
from release_pipelines.core.capacity import nearest, share
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Traffic
from release_pipelines.core.ports.router import Reserved


class Replicas(KubernetesRouter):
    """Weights of 0 and 100 are a selector; those between are numbers of pods, of one track beside stable."""

    pods_make_weight = True
    resource = RouteResource("", ("v1",), "services", "Service")
    reserved = Reserved(labels=(TRACK, HASH), annotations=(NOTE, FENCE, TRAFFIC, APP))

    def traffic(self, route: Object, backends: Backends, wanted: Traffic | None) -> Traffic:
        selector = route.get("spec", {}).get("selector") or {}
        picked = next((it for it in BESIDE if selector.get(TRACK) == it), None)
        if picked:
            return Traffic(weights={picked: 100})
        pods = {track: count for track, count in backends.beside.items() if count}
        if TRACK in selector or HASH in selector or not pods:
            return Traffic(weights={"stable": 100})
        track, count = next(iter(pods.items()))
        weight = wanted.weight(track) if wanted else 0
        if 0 < weight < 100 and nearest(backends.stable_pods, count, weight):
            return Traffic(weights={"stable": 100 - weight, track: weight})
        return Traffic(weights=shares({"stable": backends.stable_pods, track: count}))

    def spec(self, route: Object, backends: Backends, traffic: Traffic) -> Object:
        if traffic.testers or traffic.mirror or traffic.sticky:
            raise PlatformError(
                "Router `replicas` chooses between pods, not between requests: no `match`, `mirror` or `affinity` is expected."
            )
        weighted: list[Track] = [it for it in BESIDE if traffic.weight(it)]
        selector: dict[str, str | None] = {TRACK: None, HASH: None}
        if len(weighted) > 1:
            raise PlatformError(f"Router `replicas` has one track beside stable, found {' and '.join(weighted)}.")
        if not weighted:
            if backends.beside:
                if backends.stable_pin is None:
                    raise PlatformError(
                        f"Stable of {backends.stable} is in the middle of a rolling update: its pods have no label in "
                        "common that would take the others out of the Service. A settled stable is expected."
                    )
                selector[backends.stable_pin[0]] = backends.stable_pin[1]
            return {"selector": selector}
        track = weighted[0]
        weight, pods = traffic.weight(track), backends.beside.get(track, 0)
        if weight == 100:
            selector[TRACK] = track
        elif not nearest(backends.stable_pods, pods, weight):
            raise PlatformError(
                f"{pods} {track} pods beside {backends.stable_pods} stable pods make "
                f"{share(backends.stable_pods, pods):.1f} % of the traffic, {weight} % is wanted: other numbers of replicas "
                "are expected."
            )
        return {"selector": selector}

    async def refuse_unsupported(self, client: Client, target: Target, route: Object, traffic: Traffic) -> None:
        others = [it for it in apps_on(route) if it != name_of(target.app)]
        if others and not traffic.same(ALL_TO_STABLE):
            raise PlatformError(
                f"Service {route['metadata']['name']} is the route of {', '.join(others)}, too: with router `replicas` each app "
                "has a Service of its own, because numbers of pods make the weights."
            )

    async def new_route(self, client: Client, target: Target, name: str, backends: Backends) -> Object:
        raise PlatformError(f"Service {name} in {target.namespace} does not exist: deploy stable first.")

    def needs_stable_pin(self, backends: Backends, traffic: Traffic) -> bool:
        return traffic.weight("stable") == 100 and bool(backends.beside)

    def withdraws_before_deploy(self, service: Object) -> bool:
        """A Service that picks stable's pods by their hash does not pick those of the next template."""
        return HASH in service["spec"].get("selector", {})


ROUTER = Replicas()
