"""A Kubernetes cluster as a place where two versions of an app share traffic by weight."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from release_pipelines.domain.values import (
    Artifact,
    Lease,
    Observed,
    RouteNote,
    Target,
    Track,
    TrackStatus,
    Usage,
)
from release_pipelines.platforms.base import PlatformError, PlatformUnavailable
from release_pipelines.platforms.kubernetes import access, jobs, leases, looking, readiness, routers, workloads
from release_pipelines.platforms.kubernetes.client import (
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

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

T = TypeVar("T")

ATTEMPTS = 50
"""So often a write is tried on fresh state while others keep changing the object."""
WITHDRAW_SECONDS = 30.0


class Kubernetes:
    """The :class:`~release_pipelines.platforms.base.Platform` of a cluster.

    The Deployment named like the workload is stable, the user's own, adopted as it stands; ``<name>-canary`` comes and
    goes. State is kept in annotations of the route and in the Lease ``release-<app>``.

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
            self.client, target, await access.route_kind(self.client, target), secrets=self.registry_auth is not None
        )

    async def observe(self, target: Target) -> Observed:
        """What runs, ready or not and why; weights as the router has them; note and lease."""
        stable, canary, route, lease = await looking.standing(self.client, target)
        found: dict[Track, Object | None] = {"stable": stable, "canary": canary}
        statuses = await asyncio.gather(
            *(looking.status(self.client, target, track, it) for track, it in found.items() if it)
        )
        return Observed(
            tracks={status.track: status for status in statuses},
            route=looking.route_of(target, route, stable, canary),
            lease=leases.lease_of(lease),
        )

    async def advance(self, target: Target, track: Track, fence: int) -> TrackStatus:
        """How the track stands: controllers do the work here."""
        lease, deployment = await asyncio.gather(
            self.client.get(LEASES, target.namespace, leases.lease_name(target)),
            self.client.get(DEPLOYMENTS, target.namespace, workloads.deployment_name(target, track)),
        )
        leases.refuse_others(lease, target, fence)
        if deployment is None:
            return TrackStatus(track=track, waiting="nothing was deployed on this track")
        return await looking.status(self.client, target, track, deployment)

    async def usage(self, target: Target, track: Track) -> Usage | None:
        """None: Prometheus has it from the kubelets."""
        return None

    # --- changing ---------------------------------------------------------------------------------------------

    async def deploy(self, target: Target, track: Track, artifact: Artifact, replicas: int | None, fence: int) -> bool:
        """State that ``track`` shall run ``artifact``; see the protocol."""
        work = self._deploy_stable if track == "stable" else self._deploy_canary
        return await self._retried(target, lambda: work(target, artifact, replicas, fence))

    async def split(self, target: Target, canary_weight: int, note: RouteNote, fence: int) -> bool:
        """Weights and note in one write, computed from the route as it was read."""
        return await self._retried(target, lambda: self._split(target, canary_weight, note, fence))

    async def retire(self, target: Target, track: Track, fence: int) -> bool:
        """Remove the canary. Stable is the user's own and stays."""
        if track == "stable":
            raise PlatformError(f"Stable of {target.app} is not retired: its Deployment belongs to its team.")
        return await self._retried(target, lambda: self._retire(target, fence))

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

    async def run(
        self, target: Target, artifact: Artifact, command: list[str], env: dict[str, str], timeout: float
    ) -> str:
        """Run ``command`` in a pod of its own; it is removed afterwards in every case."""
        await self._state_secret(target)
        pod = workloads.job_pod(target, artifact, command, env, timeout, self.registry_auth is not None)
        return await jobs.run(self.client, target, pod, timeout)

    # --- parts ------------------------------------------------------------------------------------------------

    async def _retried(self, target: Target, attempt: Callable[[], Awaitable[T]]) -> T:
        """R14: a conflict is tried again on fresh state; each attempt reads and checks the fence again."""
        for _ in range(ATTEMPTS):
            try:
                return await attempt()
            except Conflict as error:
                last = error
                await asyncio.sleep(random.uniform(0, 0.05))
        raise PlatformUnavailable(f"{target.app} in {target.environment} keeps being changed by somebody else: {last}.")

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

    async def _deploy_stable(self, target: Target, artifact: Artifact, replicas: int | None, fence: int) -> bool:
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
        patch = workloads.stable_patch(stable, target, artifact, replicas, secret, now)
        if patch is None:
            return False
        if target.router.kind == "replicas" and routers.HASH in service["spec"].get("selector", {}):
            await self._withdraw(target)  # the new pods would not be in a Service that picks the old ones by their hash
        await self.client.patch(DEPLOYMENTS, target.namespace, workloads.stable_name(target), patch, STRATEGIC)
        return True

    async def _stable_service(self, target: Target, stable: Object) -> Object:
        name = workloads.service_name(target)
        found = await self.client.get(SERVICES, target.namespace, name)
        if found is None:
            body = workloads.stable_service(target, stable)
            body["metadata"]["name"] = name
            found = await self.client.create(SERVICES, target.namespace, body)
        return found

    async def _deploy_canary(self, target: Target, artifact: Artifact, replicas: int | None, fence: int) -> bool:
        stable, canary, route, lease = await looking.standing(self.client, target)
        leases.refuse_others(lease, target, fence)
        if stable is None:
            raise PlatformError(f"Deployment {workloads.stable_name(target)} in {target.namespace} does not exist: "
                                "a canary is a copy of it.")  # fmt: skip
        count = replicas or (canary or {}).get("spec", {}).get("replicas") or target.workload.replicas
        if canary and readiness.image_of(canary, workloads.container_name(target, canary)) == artifact.reference:
            return await self._scale_canary(target, canary, count)
        await self._state_secret(target)
        service = await self._stable_service(target, stable)
        shared = target.router.kind == "replicas"
        selectors = [service["spec"].get("selector") or {}, stable["spec"]["selector"].get("matchLabels") or {}]
        secret = self.registry_auth is not None
        body = workloads.canary_deployment(
            stable, [] if shared else selectors, target, artifact, count, secret, time.time()
        )
        if shared:
            await self._pin(target, route or service, stable, canary)
        elif await self.client.get(SERVICES, target.namespace, workloads.canary_name(target)) is None:
            await self.client.create(SERVICES, target.namespace, workloads.canary_service(target, service))
        if canary is None:
            await self.client.create(DEPLOYMENTS, target.namespace, body)
        else:
            body["metadata"]["resourceVersion"] = canary["metadata"]["resourceVersion"]
            await self.client.replace(DEPLOYMENTS, target.namespace, workloads.canary_name(target), body)
        return True

    async def _scale_canary(self, target: Target, canary: Object, count: int) -> bool:
        if canary["spec"].get("replicas") == count:
            return False
        version = canary["metadata"]["resourceVersion"]
        stated = {"resourceVersion": version, "annotations": {readiness.STATED_AT: f"{time.time():.3f}"}}
        body = {"metadata": stated, "spec": {"replicas": count}}
        await self.client.patch(DEPLOYMENTS, target.namespace, workloads.canary_name(target), body)
        return True

    async def _pin(self, target: Target, service: Object, stable: Object, canary: Object | None) -> None:
        """Keep a canary that has no weight yet out of the Service that would pick its pods (router `replicas`)."""
        backends = looking.backends(
            target, stable, canary, await looking.stable_pin(self.client, target, stable), canary_exists=True
        )
        router = looking.router_of(target)
        if router.weights(service, backends, 0)["canary"] == 0:
            await self._write_selector(target, service, router.spec(service, backends, 0))

    async def _write_selector(self, target: Target, service: Object, spec: Object) -> bool:
        body = {"metadata": {"resourceVersion": service["metadata"]["resourceVersion"]}, "spec": spec}
        if routers.applies(body, service):
            return False
        await self.client.patch(SERVICES, target.namespace, service["metadata"]["name"], body)
        return True

    async def _split(self, target: Target, weight: int, note: RouteNote, fence: int) -> bool:
        kind = await access.route_kind(self.client, target)
        stable, canary, _, lease = await looking.standing(self.client, target)
        # Read last, so that between this and the write there is as little time for others as can be.
        route = await self.client.get(kind, target.namespace, workloads.route_name(target))
        leases.refuse_others(lease, target, fence)
        leases.refuse_older(route, target, fence)
        pin = None
        if target.router.kind == "replicas" and weight == 0 and stable and canary:
            pin = await looking.stable_pin(self.client, target, stable)
        backends = looking.backends(target, stable, canary, pin)
        router = looking.router_of(target)
        current = router.weights(route, backends, note.weight or weight) if route else {}
        _refuse_unready(target, weight, current, _ready(stable), _ready(canary))
        if route is None:
            body = await self._new_route(target, backends)
            body["metadata"]["annotations"] = routers.marks(weight, note, fence)
            body["spec"].update(router.spec(body, backends, weight))
            await self.client.create(kind, target.namespace, body)
            return True
        patch = routers.route_patch(route, router, backends, weight, note, fence)
        if routers.applies(patch, route):
            return False
        await self.client.patch(kind, target.namespace, workloads.route_name(target), patch)
        return True

    async def _new_route(self, target: Target, backends: routers.Backends) -> Object:
        if target.router.kind == "gateway_api":
            gateway = await access.single_gateway(self.client, target)
            return routers.GatewayApi.new(workloads.route_name(target), backends, target.host, gateway)
        if target.router.kind == "istio":
            return routers.Istio.new(workloads.route_name(target), backends, target.host)
        raise PlatformError(
            f"Service {workloads.route_name(target)} in {target.namespace} does not exist: deploy stable first."
        )

    async def _retire(self, target: Target, fence: int) -> bool:
        stable, canary, route, lease = await looking.standing(self.client, target)
        leases.refuse_others(lease, target, fence)
        observed = looking.route_of(target, route, stable, canary)
        if observed and observed.weights.get("canary", 0):
            raise PlatformError(
                f"The canary of {target.app} in {target.environment} is not retired: "
                f"the route still gives it {observed.weights['canary']} % of the traffic."
            )
        if target.router.kind == "replicas":
            return await self._withdraw(target)
        name = workloads.canary_name(target)
        return any([await self.client.delete(kind, target.namespace, name) for kind in (DEPLOYMENTS, SERVICES)])

    async def _withdraw(self, target: Target) -> bool:
        """Router `replicas`: remove the canary, and only then give the Service its own selector back."""
        gone = await self.client.delete(DEPLOYMENTS, target.namespace, workloads.canary_name(target))
        deadline = time.time() + WITHDRAW_SECONDS
        labels = f"{routers.TRACK}=canary,{workloads.WORKLOAD}={workloads.stable_name(target)}"
        while any(
            not pod["metadata"].get("deletionTimestamp")
            for pod in await self.client.find(PODS, target.namespace, labels)
        ):
            if time.time() > deadline:
                raise PlatformUnavailable(f"Pods of {workloads.canary_name(target)} have not ended yet.")
            await asyncio.sleep(0.2)
        service = await self.client.get(SERVICES, target.namespace, workloads.service_name(target))
        free: Object = {"selector": {routers.TRACK: None, routers.HASH: None}}
        freed = await self._write_selector(target, service, free) if service else False
        return gone or freed


def _ready(deployment: Object | None) -> int:
    return int((deployment or {}).get("status", {}).get("readyReplicas", 0))


def _refuse_unready(target: Target, weight: int, current: dict[Track, int], stable: int, canary: int) -> None:
    """R5: no traffic to a track without a ready replica; away from a dead canary stable is better in any case."""
    raised: dict[Track, bool] = {
        "canary": weight > current.get("canary", 0),
        "stable": 100 - weight > current.get("stable", 0) and not (current and canary == 0),
    }
    for track, ready in (("canary", canary), ("stable", stable)):
        if raised[track] and not ready:  # type: ignore[index]
            raise PlatformError(
                f"The {track} of {target.app} in {target.environment} has no ready replica: it gets no traffic."
            )
