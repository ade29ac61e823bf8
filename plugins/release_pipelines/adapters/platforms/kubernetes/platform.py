"""A Kubernetes cluster as a place where two versions of an app share traffic by weight."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from release_pipelines.adapters import routers
from release_pipelines.adapters.kubernetes.client import (
    DEPLOYMENTS,
    LEASES,
    PODS,
    SECRETS,
    SERVICES,
    STRATEGIC,
    Client,
    Conflict,
    Object,
)
from release_pipelines.adapters.platforms.kubernetes import access, jobs, leases, looking, preview, readiness, workloads
from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.guard import refuse_unready
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import Answer, Observed, TrackStatus, Usage
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Traffic

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

T = TypeVar("T")

CONFLICT_SECONDS = 20.0
"""So long a write is tried on fresh state while others keep changing the object: each try wins by chance."""
WITHDRAW_SECONDS = 30.0


class Kubernetes:
    """The :class:`~release_pipelines.core.ports.platform.Platform` of a cluster.

    The Deployment named like the workload is stable, the user's own, adopted as it stands; ``<name>-canary`` and the like
    come and go. State is kept in annotations of the route and in the Lease ``release-<app>``.

    :param get_conn: opens an API client, like ``AsyncKubernetesHook.get_conn``.
    :param registry_auth: ``serveraddress``, ``username`` and ``password`` that pods need to pull; None: nothing is needed.
    """

    def __init__(
        self,
        get_conn: Callable[[], AbstractAsyncContextManager[ApiClient]],
        registry_auth: dict[str, str] | None = None,
    ) -> None:
        self.get_conn = get_conn
        self.registry_auth = registry_auth
        self.client: Client
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Kubernetes:
        self.client = Client(await self._stack.enter_async_context(self.get_conn()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    # --- looking ----------------------------------------------------------------------------------------------

    async def check(self, target: Target) -> None:
        """Raise with one sentence unless namespace, router and all needed rights are there."""
        await access.check(
            self.client,
            target,
            await access.route_kind(self.client, target),
            secrets=self.registry_auth is not None,
            preview=target.preview,
        )

    async def observe(self, target: Target) -> Observed:
        """What runs, ready or not and why; weights as the router has them; note and lease."""
        found = await looking.standing(self.client, target)
        statuses = await asyncio.gather(
            *(looking.status(self.client, target, track, it) for track, it in found.tracks.items())
        )
        return Observed(
            tracks={status.track: status for status in statuses},
            route=looking.route_of(target, found),
            lease=leases.lease_of(found.lease),
        )

    async def advance(self, target: Target, track: Track, fence: int) -> TrackStatus:
        """How the track stands: controllers do the work here, and are stopped where a share is reached."""
        lease, deployment = await asyncio.gather(
            self.client.get(LEASES, target.namespace, leases.lease_name(target)),
            self.client.get(DEPLOYMENTS, target.namespace, workloads.deployment_name(target, track)),
        )
        leases.refuse_others(lease, target, fence)
        if deployment is None:
            return TrackStatus(track=track, waiting="nothing was deployed on this track")
        status = await looking.status(self.client, target, track, deployment)
        if track == "preview" and status.ready:
            await preview.open_route(self.client, target)
        if await self._reached(target, track, deployment):
            deployment = await self.client.get(DEPLOYMENTS, target.namespace, deployment["metadata"]["name"])
            return await looking.status(self.client, target, track, deployment or {})
        return status

    async def _reached(self, target: Target, track: Track, deployment: Object) -> bool:
        """Stop a rolling update that has replaced its share; returns whether it was stopped now."""
        begun = deployment.get("status", {}).get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        stopped = deployment["spec"].get("paused") or workloads.share_of(deployment) == 100
        updated = deployment.get("status", {}).get("updatedReplicas", 0)
        if stopped or not begun or updated < readiness.upto(deployment):
            return False
        name = workloads.deployment_name(target, track)
        try:
            await self.client.patch(DEPLOYMENTS, target.namespace, name, workloads.pause_patch(deployment))
        except Conflict:  # its status changed meanwhile: the next look stops it
            return False
        return True

    async def usage(self, target: Target, track: Track) -> Usage | None:
        """None: Prometheus has it from the kubelets."""
        return None

    # --- changing ---------------------------------------------------------------------------------------------

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

    async def split(self, target: Target, traffic: Traffic, note: RouteNote, fence: int) -> bool:
        """Traffic and note in one write, computed from the route as it was read."""
        return await self._retried(target, lambda: self._split(target, traffic, note, fence))

    async def retire(self, target: Target, track: Track, fence: int) -> bool:
        """Remove a track beside stable. Stable is the user's own and stays."""
        if track == "stable":
            raise PlatformError(f"Stable of {target.app} is not retired: its Deployment belongs to its team.")
        return await self._retried(target, lambda: self._retire(target, track, fence))

    async def ask(self, target: Target, track: Track, path: str) -> Answer:
        """GET ``path`` through the API server from the track's own Service."""
        name = workloads.service_name(target) if track == "stable" else workloads.deployment_name(target, track)
        service = await self.client.get(SERVICES, target.namespace, name)
        if service is None:
            raise PlatformError(f"Service {name} in {target.namespace} does not exist: {track} cannot be asked.")
        port = int(service["spec"]["ports"][0]["port"])
        status, version = await self.client.ask(target.namespace, name, port, path, target.version_header)
        if status == 503 and version is None:
            raise PlatformError(f"{track} of {target.app} in {target.environment} has no ready replica to ask.")
        return Answer(status=status, version=version)

    async def take_lease(self, target: Target, holder: str, ttl: float, *, force: bool = False) -> Lease:
        """Become the one writer; ``ttl`` is rounded up to whole seconds."""
        kind = await access.route_kind(self.client, target)
        name = workloads.route_name(target)

        async def take() -> Lease:
            route = await self.client.get(kind, target.namespace, name)
            return await leases.take(self.client, target, holder, ttl, force, route)

        async def mark() -> None:
            route = await self.client.get(kind, target.namespace, name)
            leases.refuse_older(route, target, lease.fence)
            if route and routers.fence_of(route) != lease.fence:
                version = route["metadata"]["resourceVersion"]
                stated = {"resourceVersion": version, "annotations": {routers.FENCE: str(lease.fence)}}
                await self.client.patch(kind, target.namespace, name, {"metadata": stated})

        lease = await self._retried(target, take)
        await self._retried(target, mark)
        return lease

    async def renew_lease(self, target: Target, lease: Lease, ttl: float) -> Lease:
        """Push the expiry out."""
        return await self._retried(target, lambda: leases.renew(self.client, target, lease, ttl))

    async def give_back_lease(self, target: Target, lease: Lease) -> bool:
        """Free the lease if it is still this one; the object stays, so that its fence keeps rising."""
        return await self._retried(target, lambda: leases.give_back(self.client, target, lease))

    async def run(self, target: Target, image: str, command: list[str], env: dict[str, str], timeout: float) -> str:
        """Run ``command`` in a pod of its own; it is removed afterwards in every case."""
        await self._state_secret(target)
        pod = workloads.job_pod(target, image, command, env, timeout, self.registry_auth is not None)
        return await jobs.run(self.client, target, pod, timeout)

    # --- parts ------------------------------------------------------------------------------------------------

    async def _retried(self, target: Target, attempt: Callable[[], Awaitable[T]]) -> T:
        """R14: a conflict is tried again on fresh state; each attempt reads and checks the fence again."""
        end = time.monotonic() + CONFLICT_SECONDS
        while True:
            try:
                return await attempt()
            except Conflict as error:
                if time.monotonic() > end:
                    raise PlatformUnavailable(
                        f"{target.app} in {target.environment} keeps being changed by somebody else: {error}."
                    ) from error
                await asyncio.sleep(random.uniform(0, 0.05))

    async def _guard(self, target: Target, fence: int) -> None:
        leases.refuse_others(await self.client.get(LEASES, target.namespace, leases.lease_name(target)), target, fence)

    async def _state_secret(self, target: Target) -> None:
        if self.registry_auth is None:
            return
        body = workloads.registry_secret(self.registry_auth)
        found = await self.client.get(SECRETS, target.namespace, workloads.REGISTRY_SECRET)
        if found is None:
            await self.client.create(SECRETS, target.namespace, body)
        elif found.get("data") != body["data"]:
            await self.client.patch(SECRETS, target.namespace, workloads.REGISTRY_SECRET, {"data": body["data"]})

    async def _deploy_stable(
        self, target: Target, artifact: Artifact, replicas: int | None, fence: int, share: int, restore: bool
    ) -> bool:
        await self._guard(target, fence)
        await self._state_secret(target)
        secret, now = self.registry_auth is not None, time.time()
        stable = await self.client.get(DEPLOYMENTS, target.namespace, workloads.stable_name(target))
        if stable is None:
            body = workloads.stable_deployment(target, artifact, replicas, secret, now)
            stable = await self.client.create(DEPLOYMENTS, target.namespace, body)
            await self._stable_service(target, stable)
            return True
        service = await self._stable_service(target, stable)
        if replicas is not None and await access.autoscaled(self.client, target, workloads.stable_name(target)):
            replicas = None
        patch = workloads.stable_patch(stable, target, artifact, replicas, secret, now, share)
        template = await self._earlier_template(target, stable, artifact) if restore else None
        if template and template["spec"] == stable["spec"]["template"]["spec"]:
            # It runs with that already, and what the target says of its pods belongs to another version.
            template, patch = None, workloads.without_template(patch)
        if patch is None and template is None:
            return False
        if target.router.kind == "replicas" and routers.HASH in service["spec"].get("selector", {}):
            # the new pods would not be in a Service that picks the old ones by their hash
            await asyncio.gather(*(self._withdraw(target, track) for track in BESIDE))
            await self._free_selector(target)
        name = workloads.stable_name(target)
        if template:
            body = workloads.restored(stable, template, share, now)
            await self.client.replace(DEPLOYMENTS, target.namespace, name, body)
        else:
            await self.client.patch(DEPLOYMENTS, target.namespace, name, patch or {}, STRATEGIC)
        return True

    async def _earlier_template(self, target: Target, stable: Object, artifact: Artifact) -> Object | None:
        found = await looking.replica_sets(self.client, target, stable)
        return workloads.template_of(stable, found, artifact.digest, workloads.container_name(target, stable))

    async def _stable_service(self, target: Target, stable: Object) -> Object:
        name = workloads.service_name(target)
        found = await self.client.get(SERVICES, target.namespace, name)
        if found is None:
            body = workloads.stable_service(target, stable)
            body["metadata"]["name"] = name
            found = await self.client.create(SERVICES, target.namespace, body)
        return found

    async def _deploy_beside(
        self, target: Target, track: Track, artifact: Artifact, replicas: int | None, fence: int
    ) -> bool:
        found = await looking.standing(self.client, target)
        leases.refuse_others(found.lease, target, fence)
        stable, current = found.stable, found.tracks.get(track)
        if stable is None:
            raise PlatformError(f"Deployment {workloads.stable_name(target)} in {target.namespace} does not exist: "
                                f"the {track} is a copy of it.")  # fmt: skip
        count = replicas or (current or {}).get("spec", {}).get("replicas") or target.workload.replicas
        if current and readiness.image_of(current, workloads.container_name(target, current)) == artifact.reference:
            return await self._scale(target, current, count)
        await self._state_secret(target)
        service = await self._stable_service(target, stable)
        shared = target.router.kind == "replicas"
        selectors = [service["spec"].get("selector") or {}, stable["spec"]["selector"].get("matchLabels") or {}]
        secret = self.registry_auth is not None
        body = workloads.beside_deployment(
            track, stable, [] if shared else selectors, target, artifact, count, secret, time.time()
        )
        if shared:
            await self._pin(target, track, found, found.route or service)
        name = workloads.deployment_name(target, track)
        if (not shared or track == "preview") and await self.client.get(SERVICES, target.namespace, name) is None:
            await self.client.create(SERVICES, target.namespace, workloads.beside_service(target, track, service))
        if current is None:
            await self.client.create(DEPLOYMENTS, target.namespace, body)
        else:
            body["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"]
            await self.client.replace(DEPLOYMENTS, target.namespace, name, body)
        return True

    async def _scale(self, target: Target, current: Object, count: int) -> bool:
        if current["spec"].get("replicas") == count:
            return False
        version = current["metadata"]["resourceVersion"]
        stated = {"resourceVersion": version, "annotations": {readiness.STATED_AT: f"{time.time():.3f}"}}
        body = {"metadata": stated, "spec": {"replicas": count}}
        await self.client.patch(DEPLOYMENTS, target.namespace, current["metadata"]["name"], body)
        return True

    async def _pin(self, target: Target, track: Track, found: looking.Standing, service: Object) -> None:
        """Keep a track that has no weight yet out of the Service that would pick its pods (router `replicas`)."""
        assert found.stable is not None  # noqa: S101 - whoever calls has seen it
        pin = await looking.stable_pin(self.client, target, found.stable)
        backends = looking.backends(target, found, pin, coming=track)
        router = looking.router_of(target)
        if router.traffic(service, backends, None).weight(track) == 0:
            await self._write_selector(target, service, router.spec(service, backends, ALL_TO_STABLE))

    async def _write_selector(self, target: Target, service: Object, spec: Object) -> bool:
        body = {"metadata": {"resourceVersion": service["metadata"]["resourceVersion"]}, "spec": spec}
        if routers.applies(body, service):
            return False
        await self.client.patch(SERVICES, target.namespace, service["metadata"]["name"], body)
        return True

    async def _split(self, target: Target, traffic: Traffic, note: RouteNote, fence: int) -> bool:
        kind = await access.route_kind(self.client, target)
        found = await looking.standing(self.client, target)
        # Read last, so that between this and the write there is as little time for others as can be.
        route = await self.client.get(kind, target.namespace, workloads.route_name(target))
        leases.refuse_others(found.lease, target, fence)
        leases.refuse_older(route, target, fence)
        pin = None
        if target.router.kind == "replicas" and traffic.weight("stable") == 100 and found.stable and found.beside:
            pin = await looking.stable_pin(self.client, target, found.stable)
        if target.router.kind == "gateway_api" and route:
            await access.refuse_unsupported(self.client, target, route, traffic)
        backends = looking.backends(target, found, pin)
        router = looking.router_of(target)
        current = router.traffic(route, backends, note.traffic or traffic) if route else None

        async def is_ready(track: Track) -> bool:
            return _ready(found.tracks.get(track)) > 0

        await refuse_unready(target, traffic, current, is_ready)
        if route is None:
            body = await self._new_route(target, backends)
            body["metadata"]["annotations"] = routers.marks(traffic, note, fence)
            body["spec"].update(router.spec(body, backends, traffic))
            await self.client.create(kind, target.namespace, body)
            return True
        patch = routers.route_patch(route, router, backends, traffic, note, fence)
        changed = not routers.applies(patch, route)
        if changed:
            await self.client.patch(kind, target.namespace, workloads.route_name(target), patch)
        if "preview" in found.tracks and not _ready(found.tracks["preview"]):
            await preview.close_route(self.client, target)
        return changed

    async def _new_route(self, target: Target, backends: routers.Backends) -> Object:
        if target.router.kind == "gateway_api":
            gateway = await access.single_gateway(self.client, target)
            return routers.GatewayApi.new(workloads.route_name(target), backends, target.host, gateway)
        if target.router.kind == "istio":
            return routers.Istio.new(workloads.route_name(target), backends, target.host)
        raise PlatformError(
            f"Service {workloads.route_name(target)} in {target.namespace} does not exist: deploy stable first."
        )

    async def _retire(self, target: Target, track: Track, fence: int) -> bool:
        found = await looking.standing(self.client, target)
        leases.refuse_others(found.lease, target, fence)
        route = looking.route_of(target, found)
        sent = route.traffic.weight(track) if route else 0
        if sent or (route and track == "canary" and (route.traffic.testers or route.traffic.mirror)):
            said = f"{sent} % of the traffic" if sent else "requests of testers, or copies of requests"
            raise PlatformError(
                f"The {track} of {target.app} in {target.environment} is not retired: the route still gives it {said}."
            )
        removed = [await preview.close_route(self.client, target) if track == "preview" else False]
        if target.router.kind == "replicas":
            removed.append(await self._withdraw(target, track))
            if set(found.beside) <= {track}:
                removed.append(await self._free_selector(target))
        name = workloads.deployment_name(target, track)
        removed += [await self.client.delete(kind, target.namespace, name) for kind in (DEPLOYMENTS, SERVICES)]
        return any(removed)

    async def _withdraw(self, target: Target, track: Track) -> bool:
        """Router `replicas`: remove the track, and wait until none of its pods could get requests."""
        name = workloads.deployment_name(target, track)
        gone = await self.client.delete(DEPLOYMENTS, target.namespace, name)
        deadline = time.time() + WITHDRAW_SECONDS
        labels = ",".join(f"{key}={value}" for key, value in workloads.own_labels(target, track).items())
        while any(
            not pod["metadata"].get("deletionTimestamp")
            for pod in await self.client.find(PODS, target.namespace, labels)
        ):
            if time.time() > deadline:
                raise PlatformUnavailable(f"Pods of {name} have not ended yet.")
            await asyncio.sleep(0.2)
        return gone

    async def _free_selector(self, target: Target) -> bool:
        """Router `replicas`: give the Service its own selector back, when no track is left that it must not pick."""
        service = await self.client.get(SERVICES, target.namespace, workloads.service_name(target))
        free: Object = {"selector": {routers.TRACK: None, routers.HASH: None}}
        return await self._write_selector(target, service, free) if service else False


def _ready(deployment: Object | None) -> int:
    return int((deployment or {}).get("status", {}).get("readyReplicas", 0))
