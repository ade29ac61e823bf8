"""Deploying beside what an earlier release left behind, and undoing it beside what a later one does."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from release_pipelines.domain.values import Deployment, Lease, Route, RouteNote, to_json
from release_pipelines.hooks import platform as hook
from release_pipelines.operators import deploy
from release_pipelines.operators.deploy import CanaryDeployOperator, RollBackUpdateOperator
from tests.fakes import GOOD, NEW, World, artifact, target

RELEASE = "release_shop/run#0"
NEWER = "sha256:" + "c" * 64


class Ti:
    task_id = "task"

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        return self.pushed.get(key)


class Silent:
    """A history that keeps nothing."""

    def record_event(self, *_: Any) -> None:
        pass


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Stable runs 1.0.0 with all traffic, and ``RELEASE`` holds the lease."""
    it = World()
    monkeypatch.setattr(hook, "_build", lambda *_: it.platform())
    monkeypatch.setattr(deploy, "history_of", lambda *_: Silent())
    monkeypatch.setattr(deploy, "LOOK_SECONDS", 0.01)
    for name in ("PLATFORM", "REGISTRY"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "generic"}))
    it.runs("stable", artifact("1.0.0", GOOD))
    it.route = Route(weights={"stable": 100, "canary": 0}, fence=1, note=RouteNote(last_good=artifact("1.0.0", GOOD)))
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
    note = RouteNote(release="release_shop/earlier#0", step="bake", weight=100, last_good=artifact("1.0.0", GOOD))
    world.route = Route(weights={"stable": 0, "canary": 100}, fence=1, note=note)


def test_a_new_version_never_replaces_a_canary_that_has_traffic(world: World) -> None:  # R5, R18
    left_behind(world)
    deploy_canary(world)
    assert [call for call, _ in world.writes] == ["split", "deploy"]
    assert world.weight == 0
    assert world.note.last_good == artifact("1.0.0", GOOD)


def test_a_canary_that_serves_beside_a_broken_stable_is_left_alone(world: World) -> None:  # R5, R18
    left_behind(world)
    world.breaks("stable", "no node has room for it")
    ti = Ti()
    with pytest.raises(AirflowFailException, match=r"has 100 % of the traffic, and stable cannot take it: 0 of 2"):
        deploy_canary(world, ti)
    assert not world.writes
    assert "deployment" not in ti.pushed  # nothing to roll back


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
