"""The split, in one write of what the router reads."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

from release_pipelines.adapters.kubernetes.annotations import changed_by, marks
from release_pipelines.adapters.kubernetes.client import SERVICES, Object, Resource
from release_pipelines.adapters.kubernetes.router import HASH, Acceptance, applies, route_patch
from release_pipelines.adapters.platforms.kubernetes import leases, manifests, ownership, preview, standing
from release_pipelines.adapters.platforms.kubernetes.cluster import Cluster
from release_pipelines.adapters.platforms.kubernetes.routing import router_of
from release_pipelines.adapters.platforms.kubernetes.services import routed_port
from release_pipelines.adapters.platforms.kubernetes.state import backends, read_state, stable_pin
from release_pipelines.adapters.platforms.kubernetes.withdrawal import free_selector, withdraw, write_selector
from release_pipelines.adapters.platforms.kubernetes.writes import Writer
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.guard import refuse_unready
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Traffic
from release_pipelines.core.ports.platform import TrafficSplit

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
"""Pause between two looks whether a controller has accepted a route, in seconds."""
NAMED_SECONDS = 1.0
"""Time from a route that names a track until the gateway knows the track's Service, in seconds: no status tells that."""


class KubernetesTraffic(Cluster, TrafficSplit):
    """Splits the traffic. What a release keeps stands in annotations of the route."""

    async def split(self, target: Target, traffic: Traffic, note: RouteNote, fence: int) -> bool:
        """Traffic and note in one write, computed from the route as it was read."""
        return await self._retried(target, lambda: self._split(target, traffic, note, fence))

    async def _split(self, target: Target, traffic: Traffic, note: RouteNote, fence: int) -> bool:
        router, state = router_of(target), await read_state(self.client, target)
        kind = state.kind
        # Read last, so that between this and the write there is as little time for others as can be.
        route = await self.client.get(kind, target.namespace, manifests.route_name(target))
        leases.refuse_others(state.lease, target, fence)
        leases.refuse_older(route, target, fence, state.lease)
        pin: tuple[str, str] | None = None
        leaving: list[Track] = []
        if state.stable and router.needs_stable_pin(backends(target, state), traffic):
            pin = await stable_pin(self.client, target, state.stable)
            if pin is None:  # stable's pods have no label in common: only leaving tells them apart
                leaving = state.beside
        if route:
            await router.refuse_unsupported(self.client, target, route, traffic)
        choice = backends(target, state, pin)
        ahead = route is not None and router.names_ahead(route)
        if ahead:
            choice = replace(choice, named=tuple(state.beside))
        current = router.traffic(route, choice, note.traffic or traffic) if route else None
        served = [it for it in leaving if current and current.weight(it)]

        async def is_ready(track: Track) -> bool:
            return _ready(state.tracks.get(track)) > 0

        await refuse_unready(target, traffic, current, is_ready)
        if route is None:
            if not traffic.same(ALL_TO_STABLE):  # the way back is never refused for it
                await standing.refuse_other_route(self.client, target)
            choice = replace(choice, port=await routed_port(self.client, target, state))
            body = await router.new_route(self.client, target, manifests.route_name(target), choice)
            body["metadata"]["annotations"] = marks(traffic, note, fence, target.app)
            body["spec"].update(router.spec(body, choice, traffic))
            made = await Writer(self.client, target, fence).create(kind, body)
            await self._accepted(target, kind, made)
            return True
        writer = Writer(self.client, target, fence)
        for track in leaving:
            if track not in served:
                await withdraw(writer, track)  # before the Service picks it
        choice = replace(choice, beside={}) if leaving else choice
        if (
            ahead
            and current
            and not traffic.same(ALL_TO_STABLE)
            and not changed_by(route, current, target.app, state.lease)
        ):
            route = await self._named(target, kind, route, router.spec(route, choice, current))
            leases.refuse_older(route, target, fence, state.lease)
        patch = route_patch(route, router, choice, traffic, note, fence, state.lease)
        changed = not applies(patch, route)
        if changed:
            written = await self.client.patch(kind, target.namespace, manifests.route_name(target), patch)
            if not traffic.same(ALL_TO_STABLE):  # the way back waits for nobody
                await self._accepted(target, kind, written, before=route)
        for track in served:
            await withdraw(writer, track)  # after stable's pods are picked, too: there is always somebody who answers
        if "preview" in state.tracks and not _ready(state.tracks["preview"]):
            await preview.close_route(self.client, target, fence)
        return changed

    async def keep_picking(self, target: Target, fence: int) -> None:
        """Where a Service picks stable's pods by their template: let it pick them, too, when somebody else rolls them.

        In the middle of that only a track without traffic can be told from stable by leaving.
        """
        if router_of(target).pods_make_weight:
            await self._retried(target, lambda: self._keep_picking(target, fence))

    async def _keep_picking(self, target: Target, fence: int) -> None:
        service = await self.client.get(SERVICES, target.namespace, manifests.service_name(target))
        picked = (service or {}).get("spec", {}).get("selector") or {}
        if service is None or HASH not in picked:
            return
        state, writer = await read_state(self.client, target), Writer(self.client, target, fence)
        leases.refuse_others(state.lease, target, fence)
        if state.stable is None:
            return
        pin = await stable_pin(self.client, target, state.stable)
        if pin is None:
            log.warning("%s is rolled by somebody else: what runs beside it leaves.", manifests.stable_name(target))
            for track in state.beside:
                await withdraw(writer, track)
            await free_selector(writer)
        elif picked.get(pin[0]) != pin[1]:
            choice = backends(target, state, pin)
            await write_selector(writer, service, router_of(target).spec(service, choice, ALL_TO_STABLE))

    async def _named(self, target: Target, kind: Resource, route: Object, spec: Object) -> Object:
        """The route, written as ``spec`` says and given a moment, where it is not so yet."""
        if applies({"spec": spec}, route):
            return route
        name, version = route["metadata"]["name"], route["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version}, "spec": spec}
        written = await self.client.patch(kind, target.namespace, name, patch)
        await self._accepted(target, kind, written, before=route)
        await asyncio.sleep(NAMED_SECONDS)
        return await self.client.get(kind, target.namespace, name) or written

    async def divert(self, target: Target, fence: int) -> bool:
        """The Services of the tracks beside stable pick stable's pods."""
        return await self._retried(target, lambda: self._divert(target, fence))

    async def _divert(self, target: Target, fence: int) -> bool:
        state = await read_state(self.client, target)
        leases.refuse_others(state.lease, target, fence)
        if router_of(target).pods_make_weight or not _ready(state.stable):
            return False
        names = [manifests.service_name(target), *(manifests.deployment_name(target, it) for it in state.beside)]
        stable, *services = [await self.client.get(SERVICES, target.namespace, name) for name in names]
        wanted = (stable or {}).get("spec", {}).get("selector")
        own = [
            it for it, track in zip(services, state.beside, strict=True) if it and ownership.is_track(it, target, track)
        ]
        if not wanted:
            return False
        for service in own:
            if (picked := service["spec"].get("selector") or {}) != wanted:
                selector = {**dict.fromkeys(picked), **wanted}
                await Writer(self.client, target, fence).patch(SERVICES, service, {"spec": {"selector": selector}})
        return bool(own)

    async def _accepted(self, target: Target, kind: Resource, written: Object, before: Object | None = None) -> None:
        """Wait until a controller has accepted the route as it was written, where it says so at all.

        :raises PlatformError: when it refuses it, with its reason.
        """
        router, deadline = router_of(target), time.monotonic() + router_of(target).settles_within
        was = router.acceptance(before) if before else Acceptance(False)
        if before and was.silent:
            return  # a controller that writes no status
        while not (said := router.acceptance(written)).accepted:
            if time.monotonic() > deadline:
                if said.sentence and not said.reason == was.reason == standing.NOT_THERE:
                    raise PlatformError(said.sentence)
                return
            await asyncio.sleep(LOOK_SECONDS)
            written = await self.client.get(kind, target.namespace, written["metadata"]["name"]) or written


def _ready(deployment: Object | None) -> int:
    return int((deployment or {}).get("status", {}).get("readyReplicas", 0))
