"""Looks at an app in a cluster, that change nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from release_pipelines.adapters.kubernetes.client import DEPLOYMENTS, LEASES, SERVICES
from release_pipelines.adapters.platforms.kubernetes import access, leases, manifests, ownership, standing
from release_pipelines.adapters.platforms.kubernetes.cluster import Cluster
from release_pipelines.adapters.platforms.kubernetes.routing import find_route, route_resource
from release_pipelines.adapters.platforms.kubernetes.state import read_state, route_of, track_status
from release_pipelines.core.errors import Forbidden, PlatformError
from release_pipelines.core.model.observation import Answer, Observed, Usage
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE, Track
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
        leases.refuse_foreign(await self.client.get(LEASES, target.namespace, leases.lease_name(target)), target)

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

    async def ask(self, target: Target, track: Track, path: str) -> Answer:
        """GET ``path`` through the API server from the track's own Service."""
        name = manifests.service_name(target) if track == "stable" else manifests.deployment_name(target, track)
        service = await self.client.get(SERVICES, target.namespace, name)
        if service is None or (track != "stable" and not ownership.is_track(service, target, track)):
            raise PlatformError(f"Service {name} in {target.namespace} does not exist: {track} cannot be asked.")
        port = int(service["spec"]["ports"][0]["port"])
        status, version = await self.client.ask(target.namespace, name, port, path, target.version_header)
        if status == 503 and version is None:
            raise PlatformError(f"{track} of {target.app} in {target.environment} has no ready replica to ask.")
        return Answer(status=status, version=version)
