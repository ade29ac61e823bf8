"""Deploying beside what an earlier release left behind, and undoing it beside what a later one does."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from release_pipelines.airflow import rollouts
from release_pipelines.airflow.hooks import platform as hook
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.traffic import ALL_TO_STABLE, share_with
from release_pipelines.features.deployment import operators as deploy
from release_pipelines.features.deployment.operators import (
    CanaryDeployOperator,
    DeployOperator,
    PreviewDeployOperator,
    RollBackUpdateOperator,
    RollingDeployOperator,
)
from tests.fakes import GOOD, NEW, World, artifact, target
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


def left_behind(world: World) -> None:
    """An earlier release could not promote: its healthy canary kept all traffic (R18)."""
    world.runs("canary", artifact("1.0.9", NEWER))
    note = RouteNote(
        release="release_shop/earlier#0",
        step="bake",
        traffic=share_with("canary", 100),
        last_good=artifact("1.0.0", GOOD),
    )
    world.route = Route(traffic=share_with("canary", 100), fence=1, note=note)


def test_a_new_version_never_replaces_a_canary_that_has_traffic(world: World) -> None:  # R5, R18
    left_behind(world)
    deploy_canary(world)
    assert [call for call, _ in world.writes] == ["split", "deploy"]
    assert on_stable(world)
    assert world.note.last_good == artifact("1.0.0", GOOD)


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


def roll_back(world: World) -> Any:
    """Undo the deployment of 1.1.0 in place of 1.0.0."""
    done = Deployment(
        environment="staging",
        platform="container_host",
        track="stable",
        digest=NEW,
        version="1.1.0",
        previous_digest=GOOD,
        previous_version="1.0.0",
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
