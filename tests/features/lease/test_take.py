"""Who takes the lease after somebody who did not give it back (R2)."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from release_pipelines.airflow.hooks import platform as hook
from release_pipelines.core.model.lease import Lease
from release_pipelines.features.deployment.operators import RollBackUpdateOperator
from release_pipelines.features.lease import operators
from release_pipelines.features.lease.operators import HoldLeaseOperator, TakeLeaseOperator
from tests.fakes import GOOD, NEW, World, artifact, target
from tests.features.helpers import Ti
from tests.features.lease.test_give_back import events


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Somebody's run has ended without giving the lease back."""
    it = World()
    monkeypatch.setattr(hook, "_build", lambda *_: it.platform())
    for name in ("PLATFORM", "REGISTRY"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "generic"}))
    it.runs("stable", artifact())
    it.fence, it.lease = 1, Lease(holder="gone", fence=1, expires_at=time.time() - 600, seconds=0.1)
    return it


@pytest.mark.parametrize("when_busy", ["wait", "refuse"])
def test_a_lease_that_seems_to_have_expired_is_watched_and_then_taken(world: World, when_busy: Any) -> None:
    context: Any = {"ti": Ti()}
    task = TakeLeaseOperator(task_id="take", target=target(), release="next", when_busy=when_busy)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    [event] = events(deferred.value.trigger)
    again = TakeLeaseOperator(task_id="take", target=target(), release="next", when_busy=when_busy)
    assert again.resume(context, event)["holder"] == "next"


def test_one_that_is_renewed_meanwhile_is_waited_for_again(world: World) -> None:
    context: Any = {"ti": Ti()}
    task = TakeLeaseOperator(task_id="take", target=target(), release="next")
    assert world.lease
    watched = world.lease
    world.lease = watched.model_copy(update={"expires_at": time.time()})
    with pytest.raises(TaskDeferred):
        task.resume(context, {"free": True, "expired": watched.model_dump(mode="json")})
    assert world.lease.holder == "gone"


def test_one_that_is_held_is_refused_at_once(world: World) -> None:
    world.lease = Lease(holder="other", fence=1, expires_at=time.time() + 60, seconds=60)
    task = TakeLeaseOperator(task_id="take", target=target(), release="next", when_busy="refuse")
    context: Any = {"ti": Ti()}
    with pytest.raises(AirflowFailException, match="being changed by other"):
        task.execute(context)


def test_a_revert_watches_it_too_before_it_leaves_the_environment_to_others(world: World) -> None:
    deployed = {
        "environment": "production",
        "platform": "container_host",
        "track": "stable",
        "version": "1.1.0",
        "digest": NEW,
        "previous_version": "1.0.0",
        "previous_digest": GOOD,
    }
    task = RollBackUpdateOperator(
        task_id="revert", target=target(), release="mine", deployment=deployed, image="registry.example/shop"
    )
    context: Any = {"ti": Ti()}
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    [event] = events(deferred.value.trigger)
    assert event["expired"]["holder"] == "gone"


def test_the_run_does_not_go_on_saying_that_it_waits_for_an_approval(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[str] = []
    monkeypatch.setattr(operators, "note_now", lambda _, sentence: noted.append(sentence))
    lease = Lease(holder="release_shop/one#0", fence=1, expires_at=time.time() + 60)
    for tries in (1, 2):  # a second try comes when the first step may have said more
        ti = Ti()
        ti.try_number = tries
        with pytest.raises(TaskDeferred):
            HoldLeaseOperator(task_id="hold", target=target(), lease=lease).execute({"ti": ti})  # type: ignore[arg-type]
    assert noted == ["The new version is being deployed to production."]
