"""Deploying beside what an earlier release left behind, and undoing it beside what a later one does."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from release_pipelines.airflow import rollouts, stable
from release_pipelines.airflow.hooks import platform as hook
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import Observed, TrackStatus
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Match, Traffic, share_with
from release_pipelines.features.deployment import operators as deploy
from release_pipelines.features.deployment.decisions import first_release
from release_pipelines.features.deployment.operators import (
    CanaryDeployOperator,
    DeployOperator,
    PreviewDeployOperator,
    RollBackUpdateOperator,
    RollingDeployOperator,
    RollingUpdateOperator,
)
from tests.fakes import GOOD, NEW, FakePlatform, World, artifact, target
from tests.features.helpers import Ti, on_stable

RELEASE = "release_shop/run#0"
NEWER = "sha256:" + "c" * 64


class Silent:
    """A history that keeps nothing."""

    def record_event(self, *_: Any) -> None:
        pass

    def last_good(self, *_: Any, **__: Any) -> None:
        return None

    def commands(self, *_: Any, **__: Any) -> list[Any]:
        return []


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Stable runs 1.0.0 with all traffic, and ``RELEASE`` holds the lease."""
    it = World()
    monkeypatch.setattr(hook, "_build", lambda *_: it.platform())
    monkeypatch.setattr(deploy, "history_of", lambda *_: Silent())
    monkeypatch.setattr(rollouts, "LOOK_SECONDS", 0.01)
    for name in ("PLATFORM", "REGISTRY"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "generic"}))
    it.runs("stable", artifact("1.0.0", GOOD))
    it.route = Route(traffic=ALL_TO_STABLE, fence=1, note=RouteNote(last_good=artifact("1.0.0", GOOD)))
    it.fence, it.lease = 1, Lease(holder=RELEASE, fence=1, expires_at=time.time() + 60)
    return it


def deploy_canary(world: World, ti: Ti | None = None) -> Any:
    task = CanaryDeployOperator(
        task_id="canary_deploy", target=target(), artifact=artifact(), lease=world.lease, release=RELEASE
    )
    context: Any = {"ti": ti or Ti()}
    return task.execute(context)


TESTERS = share_with("canary", 0, testers=Match(kind="header", name="x-tester", value="yes"))
COPIES = share_with("canary", 0, mirror=100)


def left_behind(world: World, traffic: Traffic | None = None) -> None:
    """An earlier release could not promote: its healthy canary kept all traffic (R18), or what it was given."""
    world.runs("canary", artifact("1.0.9", NEWER))
    traffic = traffic or share_with("canary", 100)
    note = RouteNote(
        release="release_shop/earlier#0",
        step="bake",
        traffic=traffic,
        last_good=artifact("1.0.0", GOOD),
    )
    world.route = Route(traffic=traffic, fence=1, note=note)


def test_a_new_version_never_replaces_a_canary_that_has_traffic(world: World) -> None:  # R5, R18
    left_behind(world)
    deploy_canary(world)
    assert [call for call, _ in world.writes] == ["split", "deploy"]
    assert on_stable(world)
    assert world.note.last_good == artifact("1.0.0", GOOD)


@pytest.mark.parametrize("traffic", [TESTERS, COPIES], ids=["testers", "copies"])
def test_a_new_version_never_replaces_a_canary_that_gets_requests_of_testers_or_copies(
    world: World, traffic: Traffic
) -> None:  # R5
    left_behind(world, traffic)
    deploy_canary(world)
    assert [call for call, _ in world.writes] == ["split", "deploy"]
    assert world.route
    assert world.route.traffic.same(ALL_TO_STABLE)


def test_testers_of_a_canary_beside_a_broken_stable_are_left_alone(world: World) -> None:  # R5, R18
    left_behind(world, TESTERS)
    world.breaks("stable", "no node has room for it")
    with pytest.raises(AirflowFailException, match=r"left in production has requests of testers, and stable cannot"):
        deploy_canary(world)
    assert not world.writes


def test_a_canary_that_serves_beside_a_broken_stable_is_left_alone(world: World) -> None:  # R5, R18
    left_behind(world)
    world.breaks("stable", "no node has room for it")
    ti = Ti()
    with pytest.raises(AirflowFailException, match=r"has 100 % of the traffic, and stable cannot take it: 0 of 2"):
        deploy_canary(world, ti)
    assert not world.writes
    assert "deployment" not in ti.pushed  # nothing to roll back


def start(world: World, kind: type[DeployOperator], ti: Ti | None = None) -> dict[str, Any]:
    """Deploy 1.1.0 in a strategy's way."""
    task = kind(task_id="deploy", target=target(), artifact=artifact(), lease=world.lease, release=RELEASE)
    context: Any = {"ti": ti or Ti()}
    done: dict[str, Any] = task.execute(context)
    return done


def test_a_preview_starts_with_full_capacity_and_no_traffic(world: World) -> None:  # R5
    done = start(world, PreviewDeployOperator)
    assert (done["track"], done["previous_version"], done["good"]["version"]) == ("preview", "1.0.0", "1.0.0")
    assert world.tracks["preview"].ready == world.tracks["stable"].wanted
    assert on_stable(world)


def test_a_rolling_release_only_notes_what_runs(world: World) -> None:
    done = start(world, RollingDeployOperator)
    assert (done["track"], done["first"], done["good"]["digest"]) == ("stable", False, GOOD)
    assert not world.writes


@pytest.mark.parametrize("kind", [CanaryDeployOperator, PreviewDeployOperator, RollingDeployOperator])
def test_a_first_release_goes_on_stable_and_gets_all_traffic(world: World, kind: type[DeployOperator]) -> None:  # R17
    world.tracks.clear()
    world.route = None
    done = start(world, kind)
    assert (done["track"], done["first"], done["good"]) == ("stable", True, None)
    assert world.tracks["stable"].digest == NEW
    assert on_stable(world)


def test_a_first_release_that_is_tried_again_stays_the_first(world: World) -> None:  # R6, R17
    world.tracks.clear()
    world.route = None
    ti = Ti()
    assert start(world, CanaryDeployOperator, ti) == start(world, CanaryDeployOperator, ti)
    assert set(world.tracks) == {"stable"}


def test_what_ran_without_a_release_of_its_own_is_a_way_back_too(world: World) -> None:  # R8
    world.route = Route(traffic=ALL_TO_STABLE, fence=1)
    assert start(world, RollingDeployOperator)["good"]["digest"] == GOOD


def test_a_person_who_aborts_stops_a_deployment_that_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    history = Steered()
    monkeypatch.setattr(deploy, "history_of", lambda *_: history)
    monkeypatch.setattr(rollouts, "COMMAND_SECONDS", 0)

    def command(call: str) -> None:
        if call == "deploy":
            history.given = "abort"

    world.after = command
    ti = Ti()
    with pytest.raises(AirflowFailException, match="alice aborted it: wrong price list"):
        start(world, PreviewDeployOperator, ti)
    assert ti.pushed["aborted"] == {"by": "alice", "reason": "wrong price list"}
    assert ti.pushed["deployment"]  # the rollback knows what to take away
    assert history.answered
    assert not world.tracks["preview"].settled


class Steered(Silent):
    """A history in which alice gives a command."""

    def __init__(self) -> None:
        self.given: str | None = None
        self.answered: list[int] = []

    def commands(self, *_: Any, **__: Any) -> list[Any]:
        if self.given is None or self.answered:
            return []
        return [SimpleNamespace(id=1, kind=self.given, by="alice", reason="wrong price list")]

    def answer(self, command: int, effect: str) -> None:
        self.answered.append(command)


def roll_back(world: World, **ran: Any) -> Any:
    """Undo the deployment of 1.1.0 in place of 1.0.0."""
    done = Deployment(
        environment="staging",
        platform="container_host",
        track="stable",
        digest=NEW,
        version="1.1.0",
        previous_digest=GOOD,
        previous_version="1.0.0",
        **ran,
    )
    task = RollBackUpdateOperator(
        task_id="roll_back",
        target=target(environment="staging"),
        deployment=to_json(done),
        image="registry.example/shop",
        release=RELEASE,
    )
    context: Any = {"ti": Ti()}
    return task.execute(context)


def test_a_rejected_version_goes_and_the_lease_is_free(world: World) -> None:  # R10
    world.lease = None
    world.runs("stable", artifact())
    roll_back(world)
    assert world.tracks["stable"].digest == GOOD
    assert world.lease is None


def test_what_a_later_release_put_in_staging_stays_when_an_earlier_one_is_rejected(world: World) -> None:  # R2
    world.lease = None
    world.runs("stable", artifact("1.2.0", NEWER))
    with pytest.raises(AirflowSkipException, match=r"put 1\.2\.0 in staging since"):
        roll_back(world)
    assert world.tracks["stable"].digest == NEWER
    assert world.lease is None


def test_a_release_that_is_busy_in_staging_is_not_disturbed_by_a_rollback(world: World) -> None:  # R2
    world.lease = Lease(holder="release_shop/later#0", fence=1, expires_at=time.time() + 60)
    world.runs("stable", artifact())
    with pytest.raises(AirflowSkipException, match="later#0"):
        roll_back(world)
    assert not world.writes


def test_a_way_back_that_fails_leaves_no_lease(world: World) -> None:  # R2
    world.lease = None
    world.runs("stable", artifact())
    world.broken[GOOD] = "its configuration is gone"
    with pytest.raises(AirflowFailException, match="its configuration is gone"):
        roll_back(world)
    assert world.lease is None


# --- what runs is stable, known or not --------------------------------------------------------------------------------


@pytest.fixture
def tags(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the registry's tags name; empty at first."""
    known: dict[str, str] = {}

    class Registry:
        host = "registry.example"

        def digest_of(self, image: str, tag: str) -> str | None:
            return known.get(f"{image}:{tag}")

    monkeypatch.setattr(stable.RegistryHook, "get_conn", lambda self: Registry())
    monkeypatch.setattr(stable, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(stable, "COMING_SECONDS", 0.05)
    return known


def unnamed(world: World, **more: Any) -> None:
    """Stable runs an image by its tag, and its replicas name no digest."""
    world.route = Route(traffic=ALL_TO_STABLE, fence=1)
    seen = {"digest": None, "version": "latest", "image": "registry.example/shop", **more}
    world.tracks["stable"] = world.tracks["stable"].model_copy(update=seen)


EVERY = [CanaryDeployOperator, PreviewDeployOperator, RollingDeployOperator, RollingUpdateOperator]


@pytest.mark.parametrize("kind", EVERY)
def test_what_runs_without_a_known_digest_is_refused_and_no_first_release(
    world: World, tags: dict[str, str], kind: type[DeployOperator]
) -> None:  # R8, R17
    unnamed(world)
    with pytest.raises(
        AirflowFailException, match=r"name no digest, and the registry has no such tag\. .*Nothing was changed"
    ):
        start(world, kind)
    assert not world.writes


@pytest.mark.parametrize("kind", EVERY)
def test_the_registry_says_what_a_tag_is_where_replicas_do_not(
    world: World, tags: dict[str, str], kind: type[DeployOperator]
) -> None:  # R8
    unnamed(world)
    tags["registry.example/shop:latest"] = GOOD
    done = start(world, kind)
    assert not done["first"]
    assert (done["previous_digest"], done["good"]["digest"], done["good"]["version"]) == (GOOD, GOOD, "latest")


def test_an_image_of_another_registry_is_not_asked_for_here(world: World, tags: dict[str, str]) -> None:
    unnamed(world, image="elsewhere.example/shop")
    tags["elsewhere.example/shop:latest"] = GOOD
    with pytest.raises(AirflowFailException, match="its image is not of the registry of connection `registry`"):
        start(world, CanaryDeployOperator)


def test_a_stable_that_was_scaled_a_moment_ago_is_waited_for(world: World, tags: dict[str, str]) -> None:  # R17
    unnamed(world, ready=0, updated=0, settled=False, waiting="its containers are being started")

    def started(call: str) -> None:
        if world.calls.count("observe") == 3:
            world.runs("stable", artifact("1.0.0", GOOD))

    world.before = started
    done = start(world, CanaryDeployOperator)
    assert (done["track"], done["first"], done["previous_digest"]) == ("canary", False, GOOD)


@pytest.mark.parametrize(
    ("status", "first"),
    [
        ({"wanted": 0}, True),
        ({"wanted": 2, "ready": 0, "digest": GOOD, "failure": "a crash loop"}, True),
        ({"wanted": 2, "ready": 0, "digest": NEW}, True),  # this release itself, tried again
        ({"wanted": 2, "ready": 0, "digest": GOOD}, False),
        ({"wanted": 2, "ready": 0}, False),
        ({"wanted": 2, "ready": 1}, False),
        ({"wanted": 2, "ready": 1, "failure": "a crash loop"}, False),
    ],
)
def test_a_release_is_the_first_only_where_nothing_runs(status: dict[str, Any], first: bool) -> None:  # R17
    observed = Observed(tracks={"stable": TrackStatus(track="stable", **status)})
    assert first_release(observed, NEW) is first


def test_what_ran_comes_back_from_the_repository_that_it_ran_from(world: World) -> None:  # R8
    world.tracks["stable"] = world.tracks["stable"].model_copy(update={"image": "old.example/shop"})
    for note in (RouteNote(), RouteNote(last_good=artifact("1.0.0", GOOD))):
        world.route = Route(traffic=ALL_TO_STABLE, fence=1, note=note)
        done = start(world, RollingDeployOperator)
        assert done["previous_image"] == "old.example/shop"
        assert done["good"]["image"] == "old.example/shop"


def test_a_revert_deploys_from_the_repository_that_ran(world: World) -> None:  # R8
    deployed: list[Any] = []
    world.lease = None
    world.runs("stable", artifact())
    given = FakePlatform.deploy

    async def deploy(self: FakePlatform, target: Any, track: Any, artifact: Any, *rest: Any, **more: Any) -> bool:
        deployed.append(artifact.reference)
        return await given(self, target, track, artifact, *rest, **more)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FakePlatform, "deploy", deploy)
        roll_back(world, previous_image="old.example/shop")
        world.lease = None
        world.runs("stable", artifact())
        roll_back(world)  # what an earlier version of the package pushed does not say it
    assert deployed == [f"old.example/shop@{GOOD}", f"registry.example/shop@{GOOD}"]
