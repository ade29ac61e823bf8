"""Deployments, Services and Secrets of the tracks: stated here, brought about by Kubernetes' own controllers."""

from __future__ import annotations

import asyncio
import time

from release_pipelines.adapters.kubernetes.client import (
    DEPLOYMENTS,
    LEASES,
    SERVICES,
    STRATEGIC,
    Conflict,
    Object,
)
from release_pipelines.adapters.platforms.kubernetes import (
    access,
    autoscaling,
    leases,
    manifests,
    ownership,
    preview,
    readiness,
    services,
    standing,
)
from release_pipelines.adapters.platforms.kubernetes.cluster import Cluster
from release_pipelines.adapters.platforms.kubernetes.routing import router_of
from release_pipelines.adapters.platforms.kubernetes.state import (
    ClusterState,
    backends,
    pods_of,
    read_state,
    replica_sets,
    route_of,
    stable_pin,
    track_status,
)
from release_pipelines.adapters.platforms.kubernetes.withdrawal import free_selector, remove, withdraw, write_selector
from release_pipelines.adapters.platforms.kubernetes.writes import Writer
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.observation import TrackStatus
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from release_pipelines.core.ports.platform import Workloads


class KubernetesWorkloads(Cluster, Workloads):
    """Deploys, advances and retires tracks.

    The Deployment named like the workload is stable, the user's own, adopted as it stands; ``<name>-canary`` and the like
    come and go.
    """

    async def deploy(
        self,
        target: Target,
        track: Track,
        artifact: Artifact,
        replicas: int | None,
        fence: int,
        *,
        share: int = 100,
        restore: bool = False,
    ) -> bool:
        """State that ``track`` shall run ``artifact``; see the protocol."""
        if track == "stable":
            return await self._retried(
                target, lambda: self._deploy_stable(target, artifact, replicas, fence, share, restore)
            )
        return await self._retried(target, lambda: self._deploy_beside(target, track, artifact, replicas, fence))

    async def advance(self, target: Target, track: Track, fence: int) -> TrackStatus:
        """How the track stands: controllers do the work here, and are stopped where a share is reached."""
        lease, deployment = await asyncio.gather(
            self.client.get(LEASES, target.namespace, leases.lease_name(target)),
            self.client.get(DEPLOYMENTS, target.namespace, manifests.deployment_name(target, track)),
        )
        leases.refuse_others(lease, target, fence)
        leases.refuse_older(deployment, target, fence)
        if deployment is None or (track != "stable" and not ownership.is_track(deployment, target, track)):
            return TrackStatus(track=track, waiting="nothing was deployed on this track")
        status = await track_status(self.client, target, track, deployment)
        if track == "preview" and status.ready:
            await preview.open_route(self.client, target, fence)
        if await self._stopped_at_share(Writer(self.client, target, fence), deployment):
            deployment = await self.client.get(DEPLOYMENTS, target.namespace, deployment["metadata"]["name"])
            return await track_status(self.client, target, track, deployment or {})
        return status

    async def _stopped_at_share(self, writer: Writer, deployment: Object) -> bool:
        """Stop a rolling update that has replaced its share; returns whether it was stopped now."""
        seen_by_controller = deployment.get("status", {}).get("observedGeneration", 0) >= deployment["metadata"].get(
            "generation", 0
        )
        stopped = deployment["spec"].get("paused") or manifests.share_of(deployment) == 100
        updated = deployment.get("status", {}).get("updatedReplicas", 0)
        if stopped or not seen_by_controller or updated < readiness.upto(deployment):
            return False
        try:
            await writer.patch(DEPLOYMENTS, deployment, manifests.pause_patch(deployment))
        except Conflict:  # its status changed meanwhile: the next look stops it
            return False
        return True

    async def retire(self, target: Target, track: Track, fence: int) -> bool:
        """Remove a track beside stable. Stable is the user's own and stays."""
        if track == "stable":
            raise PlatformError(f"Stable of {target.app} is not retired: its Deployment belongs to its team.")
        return await self._retried(target, lambda: self._retire(target, track, fence))

    async def _deploy_stable(
        self, target: Target, artifact: Artifact, replicas: int | None, fence: int, share: int, restore: bool
    ) -> bool:
        lease = await self.client.get(LEASES, target.namespace, leases.lease_name(target))
        leases.refuse_others(lease, target, fence)
        await self._state_secret(target)
        writer = Writer(self.client, target, fence)
        secret, now = self.registry_auth is not None, time.time()
        stable = await self.client.get(DEPLOYMENTS, target.namespace, manifests.stable_name(target))
        ownership.refuse_other_track(stable, target)
        leases.refuse_older(stable, target, fence)
        if stable is None:
            await standing.refuse_other_workload(self.client, target)
            await standing.refuse_other_route(self.client, target)
            body = manifests.stable_deployment(target, artifact, replicas, secret, now)
            stable = await writer.create(DEPLOYMENTS, body, keep=True)
            await self._stable_service(writer, stable)
            return True
        service = await self._stable_service(writer, stable)
        if replicas is not None and await access.autoscaled(self.client, target, manifests.stable_name(target)):
            replicas = None
        patch = manifests.stable_patch(stable, target, artifact, replicas, secret, now, share)
        template = await self._earlier_template(target, stable, artifact) if restore else None
        if template and template["spec"] == stable["spec"]["template"]["spec"]:
            # It runs with that already, and what the target says of its pods belongs to another version.
            template, patch = None, manifests.without_template(patch)
        if patch is None and template is None:
            return False
        if router_of(target).withdraws_before_deploy(service):
            await asyncio.gather(*(withdraw(writer, track) for track in BESIDE))
            await free_selector(writer)
        if template:
            await writer.replace(DEPLOYMENTS, stable, manifests.restored(stable, target, template, share, now))
        else:
            await writer.patch(DEPLOYMENTS, stable, patch or {}, STRATEGIC)
        return True

    async def _earlier_template(self, target: Target, stable: Object, artifact: Artifact) -> Object | None:
        sets = await replica_sets(self.client, target, stable)
        return manifests.template_of(stable, sets, artifact, manifests.container_name(target, stable))

    async def _stable_service(self, writer: Writer, stable: Object) -> Object:
        target = writer.target
        name = manifests.service_name(target)
        service = await self.client.get(SERVICES, target.namespace, name)
        if service is None:
            body = services.stable_service(target, stable, alone=not router_of(target).pods_make_weight)
            service = await writer.create(SERVICES, body, keep=True)
        return service

    async def _deploy_beside(
        self, target: Target, track: Track, artifact: Artifact, replicas: int | None, fence: int
    ) -> bool:
        state = await read_state(self.client, target)
        leases.refuse_others(state.lease, target, fence)
        await ownership.refuse_strangers(self.client, target, (track,), secret=False)
        writer = Writer(self.client, target, fence)
        stable, current = state.stable, state.tracks.get(track)
        leases.refuse_older(current, target, fence)
        if stable is None:
            raise PlatformError(f"Deployment {manifests.stable_name(target)} in {target.namespace} does not exist: "
                                f"the {track} is a copy of it.")  # fmt: skip
        await self._state_secret(target)  # also for replicas that come later: some passwords live for hours
        shared = router_of(target).pods_make_weight
        scaler = await autoscaling.keep_capacity(self.client, target, stable, fence)
        own = scaler if track in autoscaling.WITH_OWN and not shared else None
        count = replicas or (current or {}).get("spec", {}).get("replicas") or target.workload.replicas
        if current and readiness.image_of(current, manifests.container_name(target, current)) == artifact.reference:
            await self._undivert(writer, track)
            return await self._scale(writer, current, count, own)
        service = await self._stable_service(writer, stable)
        selectors = [] if shared else await self._selectors(target, stable, service)
        secret = self.registry_auth is not None
        running = await pods_of(self.client, target, stable)
        body = manifests.beside_deployment(
            track, stable, selectors, target, artifact, count, secret, time.time(), running
        )
        if shared:
            await self._pin(writer, track, state, state.route or service)
        name = manifests.deployment_name(target, track)
        if (not shared or track == "preview") and await self.client.get(SERVICES, target.namespace, name) is None:
            await writer.create(SERVICES, services.beside_service(target, track, service))
        else:
            await self._undivert(writer, track)
        if current is None:
            made = await writer.create(DEPLOYMENTS, body)
        else:
            made = await writer.replace(DEPLOYMENTS, current, body)
        await autoscaling.scale_track(self.client, target, own, made, count)
        return True

    async def _undivert(self, writer: Writer, track: Track) -> None:
        """Let a track's own Service pick its own pods again, if it was diverted."""
        target = writer.target
        service = await self.client.get(SERVICES, target.namespace, manifests.deployment_name(target, track))
        own = manifests.own_labels(target, track)
        if service and ownership.is_track(service, target, track) and service["spec"].get("selector") != own:
            selector = {**dict.fromkeys(service["spec"].get("selector") or {}), **own}
            await writer.patch(SERVICES, service, {"spec": {"selector": selector}})

    async def _selectors(self, target: Target, stable: Object, service: Object) -> list[dict[str, str]]:
        """What must not pick the pods of a track beside stable: Services, and an autoscaler that counts by stable's own selector."""
        labels = stable["spec"]["template"].get("metadata", {}).get("labels") or {}
        selectors = await services.selectors_of(self.client, target, service, labels)
        if await access.autoscaled(self.client, target, manifests.stable_name(target)):
            selectors.append(stable["spec"]["selector"].get("matchLabels") or {})
        return selectors

    async def _scale(self, writer: Writer, current: Object, count: int, scaler: autoscaling.Scaler | None) -> bool:
        """Give the track so many replicas, or more where its own autoscaler says so."""
        follows_load = await autoscaling.scale_track(self.client, writer.target, scaler, current, count)
        now = current["spec"].get("replicas", 1)
        if now == count or (follows_load and now > count):
            return False
        stated = {"annotations": {readiness.STATED_AT: f"{time.time():.3f}"}}
        await writer.patch(DEPLOYMENTS, current, {"metadata": stated, "spec": {"replicas": count}})
        return True

    async def _pin(self, writer: Writer, track: Track, state: ClusterState, service: Object) -> None:
        """Keep a track that has no weight yet out of the Service that would pick its pods."""
        assert state.stable is not None  # noqa: S101 - whoever calls has seen it
        target = writer.target
        pin = await stable_pin(self.client, target, state.stable)
        choice = backends(target, state, pin, coming=track)
        router = router_of(target)
        if router.traffic(service, choice, None).weight(track) == 0:
            await write_selector(writer, service, router.spec(service, choice, ALL_TO_STABLE))

    async def _retire(self, target: Target, track: Track, fence: int) -> bool:
        state = await read_state(self.client, target)
        leases.refuse_others(state.lease, target, fence)
        route = route_of(target, state)
        if route and route.traffic.reaches(track):
            still = route.traffic.named(track)
            raise PlatformError(
                f"The {track} of {target.app} in {target.environment} is not retired: the route still gives it {still}."
            )
        writer = Writer(self.client, target, fence)
        await self._unname(writer, track, state)
        removed = [await preview.close_route(self.client, target, fence) if track == "preview" else False]
        removed.append(await autoscaling.unscale_track(self.client, target, track))
        if router_of(target).pods_make_weight:
            removed.append(await withdraw(writer, track))
            if set(state.beside) <= {track}:
                removed.append(await free_selector(writer))
        for kind in (
            DEPLOYMENTS,
            SERVICES,
        ):  # the Deployment first: it bears the fence, also where a release made no Service
            removed.append(await remove(writer, kind, track))
        if set(state.beside) <= {track}:  # the release has ended, in whatever way
            since = route.note.changed_at if route else 0.0
            removed.append(await autoscaling.release_capacity(self.client, target, since))
        return any(removed)

    async def _unname(self, writer: Writer, track: Track, state: ClusterState) -> None:
        """Let the route no longer name a track that gets nothing, before its Service goes. A Service of the team's own stays named."""
        target, route = writer.target, state.route
        spec = router_of(target).without(route, backends(target, state), track) if route else None
        if route is None or spec is None:
            return
        service = await self.client.get(SERVICES, target.namespace, manifests.deployment_name(target, track))
        if service and ownership.is_track(service, target, track):
            leases.refuse_older(route, target, writer.fence, state.lease)
            patch = {"metadata": {"resourceVersion": route["metadata"]["resourceVersion"]}, "spec": spec}
            await self.client.patch(state.kind, target.namespace, route["metadata"]["name"], patch)
