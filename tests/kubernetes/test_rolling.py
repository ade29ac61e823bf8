"""Rolling updates on a real cluster, in batches that are judged: not one request is lost."""

from __future__ import annotations

import re
from typing import Any

import pytest

from release_pipelines.core.model.track import Track
from tests.kubernetes.release import Release
from tests.kubernetes.side_by_side import side_by_side
from tests.kubernetes.world import RouterKind, World, all_of

WITH_TRAFFIC = pytest.mark.parametrize("router", ["gateway_api", "replicas"])
STABLE: Track = "stable"


def rolling(world: World, hold: Any = 3, bake: Any = 3, **workload: Any) -> Any:
    """The spec of a rolling release: a third, two thirds, all."""
    strategy = {"max_surge": 1, "max_unavailable": 0, "batches": [33, 66], "hold": hold, "bake": bake}
    return world.spec({"rolling": strategy}, replicas=3, **workload)


@WITH_TRAFFIC
@side_by_side
async def test_a_good_version_takes_over_batch_by_batch(world: World, router: RouterKind) -> None:  # R5
    await world.adopt(router, 3)
    release = Release(world, rolling(world, hold=6, bake=6), world.artifact("1.1.0"))  # long enough to be seen

    async def counted() -> None:
        for step, replaced in (("batch_33", 1), ("batch_66", 2), ("bake", 3)):
            observed = await world.held(step)
            assert observed.track(STABLE).updated == replaced
            assert observed.track(STABLE).ready >= 3
        spec = (await world.get("deployment", "web"))["spec"]
        assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}

    async with world.visitors() as visits:
        ending, _ = await all_of(release.run(), counted())
        await world.serves("1.1.0")
    assert ending.outcome == "released", ending.sentence
    assert [it.step for it in ending.verdicts] == ["batch_33", "batch_66", "bake"]
    assert re.match(r"error(s| rate) 0 % over [\d,]+ (requests|events), limit 1 %$", ending.verdicts[0].sentence)
    assert visits.lost == []
    await world.clean()


@WITH_TRAFFIC
@side_by_side
async def test_a_batch_with_errors_is_taken_back_and_says_with_which_numbers(
    world: World, router: RouterKind
) -> None:  # R3, R4, R8, R13
    await world.adopt(router, 3)
    async with world.visitors() as visits:
        ending = await Release(world, rolling(world, "10m"), world.artifact("1.1.0", "errors")).run()
        await world.serves("1.0.0")
    assert ending.outcome == "rolled_back"
    assert re.fullmatch(
        r"Rolled back 1\.1\.0 at 33 %: error(s| rate) [\d.]+ % over [\d,]+ (requests|events), limit 1 %, "
        r"surely above the limit, traffic is back on 1\.0\.0\.",
        ending.sentence,
    ), ending.sentence
    assert visits.lost == []
    await world.clean()


@pytest.mark.parametrize(
    ("router", "mode", "said"),
    [
        ("gateway_api", "crash", r"keeps ending: exit code 3.*Last log lines: .*KeyError: 'price'"),
        ("replicas", "gone", r"its image cannot be pulled: .*not found"),
    ],
    ids=["crash", "gone"],
)
@side_by_side
async def test_a_version_that_cannot_start_replaces_nothing(
    world: World, router: RouterKind, mode: str, said: str
) -> None:  # R7
    await world.adopt(router, 3)
    async with world.visitors() as visits:
        ending = await Release(world, rolling(world), world.broken(mode)).run()
    assert ending.outcome == "rolled_back"
    assert re.fullmatch(rf"Rolled back 1\.1\.0 at 33 %: .*{said}.*, traffic is back on 1\.0\.0\.", ending.sentence), (
        ending.sentence
    )
    assert (visits.lost, visits.versions.keys()) == ([], {"1.0.0"})
    await world.clean()


@WITH_TRAFFIC
@side_by_side
async def test_a_person_who_aborts_a_batch_has_the_old_version_on_all_replicas(
    world: World, router: RouterKind
) -> None:  # R4
    await world.adopt(router, 3)
    old = world.artifact("1.0.0")
    release = Release(world, rolling(world, "10m"), world.artifact("1.1.0"))

    async def abort() -> None:
        await world.held("batch_33")
        await release.told("abort")

    async with world.visitors() as visits:
        ending, _ = await all_of(release.run(), abort())
        await world.serves("1.0.0")
    assert (ending.outcome, await release.effects()) == ("aborted", ["1.0.0 is being put back on stable."])
    assert ending.sentence == "Aborted 1.1.0 at 33 %: carol: it looks odd; traffic is back on 1.0.0."
    assert visits.versions.keys() == {"1.0.0", "1.1.0"}
    assert visits.lost == []
    stable = (await world.platform.observe(world.target())).track(STABLE)
    assert (stable.digest, stable.updated, stable.settled) == (old.digest, 3, True)
    assert not (await world.get("deployment", "web"))["spec"].get("paused")
    await world.clean()


@side_by_side
async def test_configuration_goes_back_with_the_version_that_ran_with_it(world: World) -> None:  # R8
    """Its variables, and the ConfigMap and Secret that its pods named: not what the revision before had."""
    await world.adopt("gateway_api", 3, COLOUR="blue")
    await world.apply(*configured("v1", "hello"), *configured("v2", "good day"))
    names = ("ConfigMap/web-v1", "ConfigMap/web-v2", "Secret/web-v1", "Secret/web-v2")
    await world.patch("deployment", "web", naming("v1"))
    await world.soon(world.configured, {("1.0.0", "hello", "blue")})
    release = Release(world, rolling(world, bake="10m", env={"COLOUR": "green"}), world.artifact("1.1.0"))

    async def abort() -> None:
        await world.held("bake")
        await world.soon(world.configured, {("1.1.0", "hello", "green")})
        await world.patch("deployment", "web", naming("v2"))
        await world.soon(world.configured, {("1.1.0", "good day", "green")})
        await release.told("abort")

    async with world.visitors() as visits:
        ending, _ = await all_of(release.run(), abort())
        assert ending.outcome == "aborted", ending.sentence
        await world.soon(world.configured, {("1.0.0", "hello", "blue")})
    assert visits.lost == []
    pod = (await world.get("deployment", "web"))["spec"]["template"]["spec"]
    assert pod["volumes"] == [{"name": "key", "secret": {"secretName": "web-v1", "defaultMode": 420}}]
    await world.clean(*names)


def configured(name: str, greeting: str) -> list[dict[str, Any]]:
    """A ConfigMap and a Secret, each with its version in its name."""
    meta = {"apiVersion": "v1", "metadata": {"name": f"web-{name}"}}
    return [
        {**meta, "kind": "ConfigMap", "data": {"greeting": greeting}},
        {**meta, "kind": "Secret", "stringData": {"key": name}},
    ]


def naming(name: str) -> dict[str, Any]:
    """A strategic merge patch: the pods take their configuration from these."""
    source = {"configMapKeyRef": {"name": f"web-{name}", "key": "greeting"}}
    container = {
        "name": "web",
        "env": [{"name": "GREETING", "valueFrom": source}],
        "volumeMounts": [{"name": "key", "mountPath": "/key"}],
    }
    volumes = [{"name": "key", "secret": {"secretName": f"web-{name}"}}]
    return {"spec": {"template": {"spec": {"containers": [container], "volumes": volumes}}}}
