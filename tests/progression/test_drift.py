"""Somebody else changes what runs, while a release works with it: what serves is looked at, not what was once stated (R9, R14)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from release_pipelines.airflow.triggers import RolloutTrigger
from release_pipelines.core.model.base import to_json
from release_pipelines.core.progression import missing
from release_pipelines.core.progression.restating import TIMES
from release_pipelines.features.rollback.plan import plan_rollback
from tests.fakes import GOOD, NEW, FakePrometheus, World, artifact, target
from tests.progression.helpers import (
    ANALYSIS,
    PROMOTED,
    command,
    digests,
    effect,
    event,
    promotion,
    released,
    step,
    weights,
)

OLD = artifact("1.0.0", GOOD)


@pytest.fixture
def held(world: World) -> World:
    """The bake has ended: the canary has all traffic."""
    return released(world, canary=True, weight=100, step="bake")


def gitops(world: World, when: Callable[[str], bool], times: int = 1) -> list[int]:
    """Somebody puts the old image back on stable, so many times, each time that ``when`` says so."""
    left = [times]

    def put_back(call: str) -> None:
        if left[0] and world.tracks["stable"].digest == NEW and when(call):
            left[0] -= 1
            world.runs("stable", OLD)
            world.tracks["stable"] = world.tracks["stable"].model_copy(update={"changed_by": "argocd"})

    world.after = put_back
    return left


async def test_an_old_image_that_is_put_back_while_stable_is_rolled_is_replaced_again(held: World) -> None:
    gitops(held, lambda call: call == "advance")
    said = await event(promotion())
    assert said["promoted"]
    assert said["notes"] == ["Drift: argocd put 1.0.0 on stable, where 1.1.0 was put; set again."]
    assert digests(held) == PROMOTED
    assert weights(held) == [50, 0, 0]


@pytest.mark.parametrize("weight", [50, 0])
async def test_an_old_image_that_is_put_back_while_the_traffic_returns_gives_the_canary_its_traffic_again(
    held: World, weight: int
) -> None:
    gitops(held, lambda call: call == "split" and held.weight == weight)
    assert (await event(promotion()))["promoted"]
    before = [50, 0][: 1 + (weight == 0)]
    assert weights(held) == [*before, 100, 50, 0, 0]
    assert digests(held) == PROMOTED


async def test_whoever_always_puts_the_old_image_back_wins_and_a_person_decides(held: World) -> None:  # R18
    gitops(held, lambda call: call == "advance", times=99)
    said = await event(promotion())
    assert said["failure"] == (
        f"argocd put 1.0.0 on stable, where 1.1.0 was put, and did so again each of the {TIMES} times that 1.1.0 was set again"
    )
    assert len(said["notes"]) == TIMES
    assert held.weight == 100
    assert not held.note.done
    observed = await held.platform().observe(target())
    plan = plan_rollback(observed, NEW, OLD)
    assert plan.kind == "person"
    assert "runs 1.0.0; the traffic stays on the healthy canary" in plan.sentence
    assert plan_rollback(observed, NEW, OLD, decided=True).kind == "return_traffic"  # a person may


async def test_where_drift_is_to_abort_the_release_nothing_is_set_again(held: World) -> None:
    gitops(held, lambda call: call == "advance")
    said = await event(promotion(on_drift="abort"))
    assert said == {"failure": "argocd put 1.0.0 on stable, where 1.1.0 was put"}
    assert held.weight == 100


async def test_a_rolling_release_whose_version_was_replaced_before_it_was_promoted_sets_it_again(world: World) -> None:
    released(world, step="bake")
    world.runs("stable", OLD)
    assert (await event(promotion(track="stable", return_weights=[])))["promoted"]
    assert digests(world) == PROMOTED


@pytest.mark.parametrize("share", [50, 100])
async def test_a_rolling_stage_sets_its_version_again_and_watches_it_anew(
    world: World, prometheus: FakePrometheus, share: int
) -> None:
    released(world)
    gitops(world, lambda call: call == "split")
    said = await event(step(name="batch", track="stable", share=share, hold=0.3))
    assert said["verdict"]["judgement"] == "pass"
    assert any("argocd put 1.0.0 on stable" in note for note in said["notes"])
    assert world.tracks["stable"].digest == NEW
    started = [what[1].started_at for call, what in world.writes if call == "split"]
    assert started[1] > started[0]


async def test_a_rolling_stage_that_is_always_undone_goes_back(world: World, prometheus: FakePrometheus) -> None:
    released(world)
    gitops(world, lambda call: call == "advance", times=99)
    said = await event(step(name="bake", track="stable", hold=30))
    assert said["verdict"]["judgement"] == "fail"
    assert f"each of the {TIMES} times" in said["verdict"]["sentence"]
    assert world.tracks["stable"].digest == GOOD


async def test_a_rollback_whose_version_is_replaced_meanwhile_states_it_again(world: World) -> None:  # R8
    released(world)
    world.runs("stable", OLD)
    left = [1]

    def put_back(call: str) -> None:
        if left[0] and call == "advance":
            left[0] -= 1
            world.runs("stable", artifact())

    world.after = put_back
    said = await event(RolloutTrigger(target=to_json(target()), track="stable", fence=1, artifact=to_json(OLD)))
    assert (said["status"]["digest"], said["status"]["settled"]) == (GOOD, True)


# --- what returns is judged ---------------------------------------------------------------------------------------


def judged(**changed: Any) -> Any:
    """A promotion that judges stable by its requests."""
    return promotion(**{"analysis": ANALYSIS, "return_hold": 0.4, **changed})


async def test_a_stable_that_gets_worse_while_its_traffic_returns_gives_it_back(
    held: World, prometheus: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:  # R18
    monkeypatch.setattr(prometheus, "is_new", lambda query: "canary" not in query)
    prometheus.bad = 0.2
    said = await event(judged(return_hold=20))
    assert said["failure"].startswith("stable got worse with 50 % of the traffic: error rate 20 % over")
    assert "(canary: 0 %)" in said["failure"]
    assert weights(held) == [50, 100]
    assert "canary" in held.tracks


@pytest.mark.parametrize("total", [None, 1000.0])
async def test_each_weight_of_the_way_back_is_held_and_what_cannot_be_measured_stops_nothing(
    held: World, prometheus: FakePrometheus, total: float | None
) -> None:
    prometheus.total = total
    assert await event(judged()) == {"promoted": True}
    at = [what[1].started_at for call, what in held.writes if call == "split"]
    assert at[1] - at[0] >= 0.4


async def test_a_person_may_end_the_holds_of_the_way_back(held: World) -> None:  # R10
    number = command("promote")
    assert await event(promotion(return_hold=60)) == {"promoted": True}
    assert effect(number)


async def test_what_happens_while_new_replicas_warm_up_is_no_verdict(world: World, prometheus: FakePrometheus) -> None:
    released(world, canary=True)
    prometheus.bad = 0.5
    said = await event(step(hold=0.3, analysis={"warm_up": 30, "on_inconclusive": "continue"}))
    assert said["verdict"]["judgement"] == "inconclusive"
    assert world.weight == 10


# --- capacity -----------------------------------------------------------------------------------------------------


async def test_a_canary_that_lacks_replicas_for_longer_than_a_moment_fails(
    world: World, prometheus: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:  # R5
    monkeypatch.setattr(missing, "MISSING_SECONDS", 0.1)
    released(world, canary=True)
    world.runs("canary", artifact(), 3)
    lost = world.tracks["canary"].model_copy(update={"ready": 1, "updated": 1})
    world.after = lambda call: world.tracks.update(canary=lost) if call == "split" and world.weight == 10 else None
    said = await event(step(replicas=3, hold=30))
    assert said["verdict"]["judgement"] == "fail"
    assert said["verdict"]["sentence"].startswith("1 of 3 replicas of 1.1.0 are ready, for")
    assert said["verdict"]["sentence"].endswith("too few for 10 % of the traffic")
    assert world.weight == 0


async def test_a_stable_that_lacks_replicas_is_told_and_gives_no_weight_away(
    world: World, prometheus: FakePrometheus
) -> None:  # R5
    released(world, canary=True, weight=10, step="step_10")
    lacks = world.tracks["stable"].model_copy(update={"ready": 1, "updated": 1, "settled": False})
    world.tracks["stable"] = lacks
    looks = [0]

    def comes_back(call: str) -> None:
        looks[0] += call == "advance"
        assert world.weight == 10 or looks[0] >= 5
        if looks[0] == 5:
            world.runs("stable", OLD)

    world.after = comes_back
    said = await event(step(name="step_50", weight=50))
    assert said["verdict"]["judgement"] == "pass"
    assert said["notes"] == ["No more traffic for the canary for now: stable has 1 of 2 replicas ready."]


async def test_a_stable_that_gets_fewer_replicas_meanwhile_is_told(
    world: World, prometheus: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missing, "MISSING_SECONDS", 0.05)
    released(world, canary=True)
    lacks = world.tracks["stable"].model_copy(update={"ready": 1, "updated": 1})
    world.after = lambda call: world.tracks.update(stable=lacks) if call == "split" else None
    said = await event(step(hold=0.4))
    assert said["verdict"]["judgement"] == "pass"
    assert len(said["notes"]) == 1
    assert said["notes"][0].startswith("Stable lacks replicas: 1 of 2 replicas of 1.0.0 are ready, for")


async def test_no_traffic_returns_to_a_stable_that_lacks_replicas(held: World) -> None:
    seen = []

    def loses_one(call: str) -> None:
        stable = held.tracks["stable"]
        if call == "split" and held.weight == 50 and not seen:
            seen.append(call)
            held.tracks["stable"] = stable.model_copy(update={"ready": 1, "updated": 1, "settled": False})
            held.slow.add("stable")
        elif call == "advance" and seen:
            seen.append(call)
            assert held.weight == 50
            if len(seen) > 5:
                held.slow.clear()
                held.after = lambda call: None

    held.after = loses_one
    assert await event(promotion()) == {"promoted": True}
    assert len(seen) > 5
