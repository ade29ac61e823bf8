"""The platform against a real API server, kubelet and proxy."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable

import pytest

from release_pipelines.adapters.platforms.kubernetes.platform import Kubernetes
from release_pipelines.core.errors import FenceLost, LeaseHeld, PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.observation import TrackStatus
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE, share_with
from tests.kubernetes.conftest import apply, deployment, kubectl, opened, service

Make = Callable[..., Target]
Images = Callable[..., Artifact]


async def ended(platform: Kubernetes, target: Target, track: Track, fence: int, within: float = 180) -> TrackStatus:
    """The track's status when it is settled or has failed."""
    deadline = time.monotonic() + within
    while True:
        status = await platform.advance(target, track, fence)
        if status.settled or status.failure:
            return status
        assert time.monotonic() < deadline, status
        await asyncio.sleep(0.3)


async def test_a_first_release_makes_deployment_and_service_and_gives_them_all_traffic(
    cluster: Kubernetes, target: Make, artifacts: Images
) -> None:  # R17
    app, good = target(), artifacts("1.0.0")
    await cluster.check(app)
    lease = await cluster.take_lease(app, "first", 30)
    assert await cluster.deploy(app, "stable", good, None, lease.fence)
    status = await ended(cluster, app, "stable", lease.fence)
    assert (status.settled, status.digest, status.version, status.ready) == (True, good.digest, "1.0.0", 1)
    assert not await cluster.deploy(app, "stable", good, None, lease.fence)
    note = RouteNote(release="first", traffic=ALL_TO_STABLE, last_good=good, done=True)
    assert await cluster.split(app, ALL_TO_STABLE, note, lease.fence)
    assert not await cluster.split(app, ALL_TO_STABLE, note, lease.fence)
    seen = await cluster.observe(app)
    assert seen.route is not None
    assert (seen.route.traffic.weights, seen.route.note, seen.route.fence) == ({"stable": 100}, note, lease.fence)
    assert seen.lease == lease.model_copy(update={"expires_at": seen.lease.expires_at if seen.lease else 0})
    assert "1.0.0" in await cluster.run(app, good.reference, ["/usr/bin/python3", "-c", "print('1.0.0')"], {}, 60)
    with pytest.raises(PlatformError, match=r"exit code 4.*no good"):
        await cluster.run(app, good.reference, ["/usr/bin/python3", "-c", "print('no good'); exit(4)"], {}, 60)


async def test_a_canary_without_a_mesh_gets_its_share_by_pods_and_none_before_its_time(
    cluster: Kubernetes, target: Make, artifacts: Images, namespace: str
) -> None:  # R5, R18
    app, old, new = target(), artifacts("1.0.0"), artifacts("1.1.0")
    apply(deployment(namespace, old, 3), service(namespace))
    fence = (await cluster.take_lease(app, "second", 60)).fence
    assert (await ended(cluster, app, "stable", fence)).digest == old.digest
    untouched = pods(namespace)

    assert await cluster.deploy(app, "canary", new, 1, fence)
    assert (await ended(cluster, app, "canary", fence)).settled
    await until(lambda: versions(namespace) == {"stable": 3})  # ready, and still out of the Service
    with pytest.raises(PlatformError, match="3 stable pods make 25"):
        await cluster.split(app, share_with("canary", 40), RouteNote(traffic=share_with("canary", 40)), fence)
    assert await cluster.split(app, share_with("canary", 25), RouteNote(traffic=share_with("canary", 25)), fence)
    await until(lambda: versions(namespace) == {"stable": 3, "canary": 1})
    seen = await cluster.observe(app)
    assert (seen.weight("stable"), seen.weight("canary")) == (75, 25)
    with pytest.raises(PlatformError, match="still gives it 25 %"):
        await cluster.retire(app, "canary", fence)

    assert await cluster.split(app, ALL_TO_STABLE, RouteNote(), fence)  # an abort: out of the Service in one write
    await until(lambda: versions(namespace) == {"stable": 3})
    assert await cluster.deploy(app, "canary", new, 3, fence)
    assert (await ended(cluster, app, "canary", fence)).ready == 3
    assert await cluster.split(app, share_with("canary", 100), RouteNote(traffic=share_with("canary", 100)), fence)
    await until(lambda: versions(namespace) == {"canary": 3})
    assert untouched == [pod for pod in pods(namespace) if "canary" not in pod]  # stable never restarted

    assert await cluster.deploy(app, "stable", new, None, fence)
    assert (await ended(cluster, app, "stable", fence)).version == "1.1.0"
    assert await cluster.split(app, share_with("canary", 50), RouteNote(traffic=share_with("canary", 50)), fence)
    assert await cluster.split(app, ALL_TO_STABLE, RouteNote(), fence)
    assert await cluster.retire(app, "canary", fence)
    assert not await cluster.retire(app, "canary", fence)
    assert json.loads(kubectl("get", "service", "web", "-n", namespace, "-o", "json"))["spec"]["selector"] == {
        "app": "web"
    }
    spec = json.loads(kubectl("get", "deployment", "web", "-n", namespace, "-o", "json"))["spec"]
    assert spec["replicas"] == 3
    assert spec["template"]["spec"]["containers"][0]["env"] == [{"name": "OWN", "value": "kept"}]


def pods(namespace: str) -> list[str]:
    return sorted(kubectl("get", "pods", "-n", namespace, "-o", "name").split())


def versions(namespace: str) -> dict[str, int]:
    """How many endpoints of each track the Service has."""
    found = json.loads(kubectl("get", "endpoints", "web", "-n", namespace, "-o", "json")).get("subsets") or []
    names = [it["targetRef"]["name"] for subset in found for it in subset.get("addresses") or []]
    counts = {"canary": sum("canary" in name for name in names), "stable": sum("canary" not in name for name in names)}
    return {track: count for track, count in counts.items() if count}


async def until(true: Callable[[], bool], within: float = 90) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("crash", r"keeps ending: exit code 3.*Last log lines:.*KeyError: 'price'"),
        ("gone", r"image cannot be pulled:.*not found"),
    ],
)
async def test_a_version_that_cannot_start_fails_and_says_why(
    cluster: Kubernetes, target: Make, artifacts: Images, namespace: str, version: str, said: str
) -> None:  # R7
    app, old = target("istio"), artifacts("1.0.0")
    bad = artifacts("1.1.0", "crash") if version == "crash" else old.model_copy(update={"digest": "sha256:" + "0" * 64})
    apply(deployment(namespace, old, 1), service(namespace))
    fence = (await cluster.take_lease(app, "bad", 60)).fence
    assert await cluster.deploy(app, "canary", bad, 1, fence)
    status = await ended(cluster, app, "canary", fence)
    assert status.failure
    assert re.search(said, status.failure), status.failure
    with pytest.raises(PlatformError, match="no ready replica"):
        await cluster.split(app, share_with("canary", 10), RouteNote(traffic=share_with("canary", 10)), fence)


async def test_a_version_that_a_liveness_probe_kills_has_failed(
    cluster: Kubernetes, target: Make, artifacts: Images, namespace: str
) -> None:  # R7
    app, old = target("istio"), artifacts("1.0.0")
    own = deployment(namespace, old, 1)
    own["spec"]["template"]["spec"]["containers"][0]["livenessProbe"] = {
        "httpGet": {"path": "/", "port": 8080},
        "periodSeconds": 1,
        "failureThreshold": 2,
    }
    apply(own, service(namespace))
    fence = (await cluster.take_lease(app, "hangs", 60)).fence
    await ended(cluster, app, "stable", fence)
    await cluster.deploy(app, "canary", artifacts("1.1.0", "hangs"), 1, fence)
    deadline = time.monotonic() + 60
    while True:
        told = kubectl(
            "get", "events", "--namespace", namespace, "--field-selector", "reason=Killing", "--output", "name"
        )
        status = await cluster.advance(app, "canary", fence)
        if status.failure:
            break
        assert time.monotonic() < deadline, status
        await asyncio.sleep(0.3)
    # The kubelet writes five events a second for all its pods, and drops some of the rest: without its word only the
    # restarts are known.
    killed = "failed liveness probe, will be restarted"
    assert re.search(killed if told else f"{killed}|keeps ending: exit code 0, restarted", status.failure), status


async def test_only_the_newest_holder_writes(
    cluster: Kubernetes, target: Make, artifacts: Images, namespace: str
) -> None:  # R2
    app, good = target(), artifacts("1.0.0")
    apply(deployment(namespace, good, 1), service(namespace))
    first = await cluster.take_lease(app, "first", 60)
    assert (await cluster.take_lease(app, "first", 60)).fence == first.fence
    with pytest.raises(LeaseHeld, match="held by first"):
        await cluster.take_lease(app, "second", 60)
    second = await cluster.take_lease(app, "second", 60, force=True)
    assert second.fence > first.fence
    await ended(cluster, app, "stable", second.fence)
    for write in (
        lambda: cluster.split(app, ALL_TO_STABLE, RouteNote(), first.fence),
        lambda: cluster.deploy(app, "stable", good, None, first.fence),
        lambda: cluster.deploy(app, "canary", good, 1, first.fence),
        lambda: cluster.retire(app, "canary", first.fence),
        lambda: cluster.renew_lease(app, first, 60),
    ):
        with pytest.raises(FenceLost, match="second"):
            await write()
    assert not await cluster.give_back_lease(app, first)
    assert await cluster.give_back_lease(app, second)
    assert (await cluster.observe(app)).lease is None
    with pytest.raises(FenceLost, match="given back"):
        await cluster.split(app, ALL_TO_STABLE, RouteNote(), second.fence)
    kubectl("delete", "lease", "release-web", "-n", namespace)
    assert (await cluster.take_lease(app, "third", 60)).fence > second.fence  # the route remembers


async def test_an_autoscaled_stable_keeps_the_number_that_its_autoscaler_gave_it(
    cluster: Kubernetes, target: Make, artifacts: Images, namespace: str
) -> None:  # R16
    app, old = target(), artifacts("1.0.0")
    scaler = {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1,
            "maxReplicas": 3,
        },
    }
    apply(deployment(namespace, old, 2), service(namespace), scaler)
    fence = (await cluster.take_lease(app, "release", 60)).fence
    await ended(cluster, app, "stable", fence)
    assert not await cluster.deploy(app, "stable", old, 3, fence)
    kubectl("delete", "hpa", "web", "-n", namespace)
    assert await cluster.deploy(app, "stable", old, 3, fence)
    assert (await ended(cluster, app, "stable", fence)).ready == 3


async def test_registry_credentials_reach_the_pods_and_no_message(
    target: Make, artifacts: Images, namespace: str
) -> None:  # R11
    app, good = target(), artifacts("1.0.0")
    auth = {"serveraddress": "127.0.0.1:5000", "username": "robot", "password": "opensesame"}
    async with Kubernetes(opened(), registry_auth=auth) as platform:
        fence = (await platform.take_lease(app, "release", 60)).fence
        await platform.check(app)
        await platform.deploy(app, "stable", good, None, fence)
        status = await ended(platform, app, "stable", fence)
    spec = json.loads(kubectl("get", "deployment", "web", "-n", namespace, "-o", "json"))["spec"]["template"]["spec"]
    assert spec["imagePullSecrets"] == [{"name": "release-pipelines-registry"}]
    assert "opensesame" not in status.model_dump_json()
