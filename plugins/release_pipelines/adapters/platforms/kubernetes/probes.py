"""Looks at an app in a cluster, that change nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from release_pipelines.adapters.kubernetes.client import DEPLOYMENTS, LEASES, SERVICES, Unreachable
from release_pipelines.adapters.platforms.kubernetes import (
    access,
    adopted,
    leases,
    manifests,
    ownership,
    preview,
    services,
    standing,
)
from release_pipelines.adapters.platforms.kubernetes.cluster import Cluster
from release_pipelines.adapters.platforms.kubernetes.routing import find_route, route_resource, router_of
from release_pipelines.adapters.platforms.kubernetes.state import backends, read_state, route_of, track_status
from release_pipelines.core.errors import Forbidden, PlatformError
from release_pipelines.core.model.observation import Answer, Observed, Usage
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.traffic import Traffic
from release_pipelines.core.ports.platform import Probes


class KubernetesProbes(Cluster, Probes):
    """Checks, observes and asks."""

    async def check(self, target: Target) -> None:
        """Raise with one sentence unless namespace, router and all needed rights are there."""
        kind, route = await route_resource(self.client, target), None
        with suppress(Forbidden):  # is said below, with all other rights that are missing
            kind, route = await find_route(self.client, target)
        await access.check(
            self.client,
            target,
            kind,
            secrets=self.registry_auth is not None,
            preview=target.preview,
        )
        needed = set(ownership.release_tracks(target)) | standing.named_tracks(target, route)
        tracks = tuple(it for it in BESIDE if it in needed)
        await ownership.refuse_strangers(self.client, target, tracks, secret=self.registry_auth is not None)
        stable = await self.client.get(DEPLOYMENTS, target.namespace, manifests.stable_name(target))
        ownership.refuse_other_track(stable, target)
        await standing.refuse_other_workload(self.client, target)
        await standing.refuse_other_route(self.client, target)
        await standing.refuse_unusable_route(self.client, target, route)
        await adopted.refuse(self.client, target, stable)
        leases.refuse_foreign(await self.client.get(LEASES, target.namespace, leases.lease_name(target)), target)

    async def check_traffic(self, target: Target, splits: Sequence[Traffic]) -> None:
        """Raise where a rule of the route is in the way, or its controller cannot do it."""
        router, state = router_of(target), await read_state(self.client, target)
        if state.route is None:
            return
        for traffic in splits:
            await router.refuse_unsupported(self.client, target, state.route, traffic)
            if not router.pods_make_weight:
                router.spec(state.route, backends(target, state), traffic)

    async def observe(self, target: Target) -> Observed:
        """What runs, ready or not and why; weights as the router has them; note and lease."""
        state = await read_state(self.client, target)
        statuses = await asyncio.gather(
            *(track_status(self.client, target, track, it) for track, it in state.tracks.items())
        )
        return Observed(
            tracks={status.track: status for status in statuses},
            route=route_of(target, state),
            lease=leases.lease_of(state.lease),
        )

    async def usage(self, target: Target, track: Track) -> Usage | None:
        """None: Prometheus has it from the kubelets."""
        return None

    async def container(self, target: Target) -> str:
        """Name of the app's container, as stable's Deployment has it: other containers of a pod are none of the app's."""
        stable = await self.client.get(DEPLOYMENTS, target.namespace, manifests.stable_name(target))
        return manifests.container_name(target, stable)

    async def remarks(self, target: Target) -> list[str]:
        """What stands already and the release does not carry along, a sentence each."""
        autoscaled = await access.autoscaled(self.client, target, manifests.stable_name(target))
        return await adopted.remarks(self.client, target, autoscaled=autoscaled)

    async def ask(self, target: Target, track: Track, path: str) -> Answer:
        """GET ``path`` from the preview's own address, where it has one; else, and where that leads nowhere, from the track's own
        Service through the API server."""
        there, at_its_own = None, track == "preview" and preview.has_route(target)
        if at_its_own:
            there = await preview.ask(target, path)
            if there and there.version is not None:
                return there
        name = manifests.service_name(target) if track == "stable" else manifests.deployment_name(target, track)
        service, state = await asyncio.gather(
            self.client.get(SERVICES, target.namespace, name), read_state(self.client, target)
        )
        if service is None or (track != "stable" and not ownership.is_track(service, target, track)):
            raise PlatformError(f"Service {name} in {target.namespace} does not exist: {track} cannot be asked.")
        port = services.port_of(target, service, state.stable, services.routed(target, state))
        deployment = state.tracks.get(track)
        scheme = services.scheme_of(port, deployment)
        try:
            status, version = await self.client.ask(
                target.namespace, name, int(port["port"]), path, target.version_header, scheme
            )
        except Unreachable as error:
            what = f"{track} of {target.app} in {target.environment}"
            if not (deployment or {}).get("status", {}).get("readyReplicas"):
                raise PlatformError(f"{what} has no ready replica to ask.") from error
            tried = f" (at {target.preview_host}: {there.status if there else 'no answer'})" if at_its_own else ""
            raise PlatformError(
                f"{what} was asked through the API server of Kubernetes and gave no answer{tried}: {error}."
            ) from error
        return Answer(status=status, version=version)
