"""What runs on a real cluster, how it comes to be, and what stands in its way."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.observation import TrackStatus
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE, share_with
from release_pipelines.features.deployment.decisions import first_release
from release_pipelines.spec.target import target as target_of
from tests.kubernetes import image
from tests.kubernetes.conftest import CACHE, kubectl, service
from tests.kubernetes.release import Release
from tests.kubernetes.side_by_side import side_by_side
from tests.kubernetes.world import World, team_deployment, team_route

FOLDER = "release-test/elsewhere/"
"""Repositories of tests that push tags again."""


async def pushed(world: World, version: str, mode: str = "good") -> Artifact:
    """An image in a repository of its own, by a tag that is always 1.0.0."""
    repository = FOLDER + world.namespace
    digest = await asyncio.to_thread(image.push, version, CACHE, mode, repository, "1.0.0")
    return Artifact(app=world.app, version=version, image=f"{image.REGISTRY}/{repository}", digest=digest)


async def adopted_by_tag(world: World, it: Artifact, replicas: int) -> None:
    """A team's app whose image is named by a tag."""
    body = team_deployment(it, replicas, {"GREETING": "theirs"})
    own = {"image": f"{it.image}:1.0.0", "imagePullPolicy": "Always"}
    body["spec"]["template"]["spec"]["containers"][0] |= own
    await world.apply(body, service(world.namespace))
    await world.until(lambda observed: observed.track("stable").settled)


async def scaled(world: World, replicas: int) -> None:
    """A person scales the Deployment."""
    await asyncio.to_thread(kubectl, "scale", "deployment/web", f"--replicas={replicas}", "-n", world.namespace)


async def status_of(world: World, app: Target, track: Track, fence: int, word: str, within: float = 40) -> TrackStatus:
    """The track's status as soon as it says a word."""
    deadline = time.monotonic() + within
    while True:
        status = await world.platform.advance(app, track, fence)
        if word in (status.failure or status.waiting or ""):
            return status
        assert not status.settled, f"{word} is expected"
        assert time.monotonic() < deadline, status
        await asyncio.sleep(0.3)


@side_by_side
async def test_what_runs_by_a_tag_that_was_pushed_again_comes_back_from_its_own_repository(
    world: World,
) -> None:  # R8, R17
    await adopted_by_tag(world, await pushed(world, "0.9.9"), 1)
    await world.apply(team_route("gateway_api", world.host))
    newest = await pushed(world, "1.0.0")
    await scaled(world, 3)
    observed = await world.until(lambda seen: seen.track("stable").ready == 3)
    stable = observed.track("stable")
    assert (stable.digest, stable.version, stable.image) == (newest.digest, "1.0.0", newest.image)
    assert not first_release(observed)
    spec = world.spec({"rolling": {"batches": [33], "hold": 2, "bake": 2}}, replicas=3, env={"GREETING": "ours"})
    ending = await Release(world, spec, world.artifact("1.1.0", "errors")).run()
    assert ending.outcome == "rolled_back", ending.sentence
    (container,) = (await world.get("deployment", "web"))["spec"]["template"]["spec"]["containers"]
    assert container["image"] == newest.reference
    assert container["env"] == [{"name": "GREETING", "value": "theirs"}]
    await world.serves("1.0.0")


@side_by_side
async def test_many_replicas_take_longer_than_the_time_that_one_has(world: World) -> None:  # R7
    await world.adopt("gateway_api", 40)
    strategy = {"maxSurge": 4, "maxUnavailable": 0}
    await world.patch("deployment", "web", {"spec": {"minReadySeconds": 8, "strategy": {"rollingUpdate": strategy}}})
    app = target_of(world.spec({"rolling": {"max_surge": 4}}, replicas=40, ready_timeout=60), "production")
    lease = await world.platform.take_lease(app, "many", 300)
    begun = time.monotonic()
    await world.platform.deploy(app, "stable", world.artifact("1.1.0"), None, lease.fence)
    looks = []
    while not (status := await world.platform.advance(app, "stable", lease.fence)).settled:
        assert status.failure is None, (time.monotonic() - begun, looks[-3:], status.failure)
        looks.append(status.waiting)
        await asyncio.sleep(0.5)
    assert time.monotonic() - begun > 60 + 8
    assert (status.ready, status.updated) == (40, 40)


@side_by_side
async def test_an_unready_pod_of_stable_is_not_in_the_way_back(world: World) -> None:  # R4, R8
    world.router = "replicas"
    good = await pushed(world, "1.0.0")
    await adopted_by_tag(world, good, 3)
    world.url = f"http://{(await world.get('service', 'web'))['spec']['clusterIP']}:8080"
    platform, app = world.platform, target_of(world.spec({"rolling": {}}, replicas=3), "production")
    fence = (await platform.take_lease(app, "one", 300)).fence
    await platform.deploy(app, "canary", world.artifact("1.1.0"), 1, fence)
    await world.until(lambda seen: seen.track("canary").settled)
    traffic = share_with("canary", 25)
    await platform.split(app, traffic, RouteNote(traffic=traffic), fence)
    await pushed(world, "1.0.0", "unready")
    await scaled(world, 4)
    await world.until(lambda seen: (seen.track("stable").wanted, seen.track("stable").ready) == (4, 3))
    await platform.split(app, ALL_TO_STABLE, RouteNote(), fence)
    await world.serves("1.0.0")
    assert (await platform.observe(app)).weight("stable") == 100


@side_by_side
async def test_a_stable_that_its_team_rolls_is_not_in_the_way_back(world: World) -> None:  # R4, R8
    await world.adopt("replicas", 2)
    platform, app = world.platform, target_of(world.spec({"rolling": {}}, replicas=2), "production")
    fence = (await platform.take_lease(app, "one", 300)).fence
    await platform.deploy(app, "canary", world.artifact("1.1.0"), 2, fence)
    await world.until(lambda seen: seen.track("canary").settled)
    traffic = share_with("canary", 50)
    await platform.split(app, traffic, RouteNote(traffic=traffic), fence)
    async with world.visitors() as visits:
        again = {"metadata": {"annotations": {"team.example/rolled": "again"}}}
        await world.patch("deployment", "web", {"spec": {"minReadySeconds": 60, "template": again}})
        await world.until(lambda seen: not seen.track("stable").settled)
        await platform.split(app, ALL_TO_STABLE, RouteNote(), fence)
        observed = await platform.observe(app)
        assert (observed.weight("stable"), observed.beside) == (100, [])
        assert not observed.track("stable").settled
        await world.serves("1.0.0")
    assert visits.lost == []


@side_by_side
async def test_what_keeps_pods_away_is_said_in_the_words_of_kubernetes(world: World) -> None:  # R7
    await world.adopt("gateway_api", 1)
    app = target_of(world.spec({"rolling": {}}, replicas=1, ready_timeout=10), "production")
    platform, name, new = world.platform, world.namespace, world.artifact("1.1.0")
    fence = (await platform.take_lease(app, "one", 300)).fence
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {"pods": "1"}}}
    await world.apply(quota)
    await world.soon(lambda: _used(world), "1")
    await platform.deploy(app, "canary", new, 1, fence)
    status = await status_of(world, app, "canary", fence, "exceeded quota: few, requested: pods=1, used: pods=1")
    assert status.failure is None
    status = await status_of(world, app, "canary", fence, "Not ready after 10 s")
    assert "pods cannot be created: pods" in (status.failure or "")
    assert "exceeded quota: few" in (status.failure or "")
    await platform.retire(app, "canary", fence)

    await asyncio.to_thread(kubectl, "delete", "resourcequota", "few", "-n", name)
    level = "pod-security.kubernetes.io/enforce"
    await asyncio.to_thread(kubectl, "label", "namespace", name, f"{level}=restricted")
    await platform.deploy(app, "canary", new, 1, fence)
    await status_of(world, app, "canary", fence, 'violates PodSecurity "restricted:')
    await platform.retire(app, "canary", fence)
    await asyncio.to_thread(kubectl, "label", "namespace", name, f"{level}-")


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        ({"nodeSelector": {"disk": "none"}}, "no node takes it: 0/1 nodes are available: 1 node(s) didn't match"),
        (
            {"volumes": [{"name": "prices", "configMap": {"name": "prices"}}]},
            'MountVolume.SetUp failed for volume "prices" : configmap "prices" not found',
        ),
    ],
    ids=["unschedulable", "volume"],
)
@side_by_side
async def test_a_pod_that_cannot_start_says_why(world: World, pod: dict[str, Any], said: str) -> None:  # R7
    body = team_deployment(world.artifact("1.0.0"), 1, {})
    body["spec"]["template"]["spec"] |= pod
    if "volumes" in pod:
        mounts = [{"name": it["name"], "mountPath": f"/{it['name']}"} for it in pod["volumes"]]
        body["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = mounts
    await world.apply(body)
    await world.until(lambda seen: said in (seen.track("stable").waiting or ""), within=60)


async def _used(world: World) -> str | None:
    """Pods that the quota has counted."""
    status = (await world.get("resourcequota", "few")).get("status", {})
    used: str | None = status.get("used", {}).get("pods")
    return used
