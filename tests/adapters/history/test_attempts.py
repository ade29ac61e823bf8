"""The history as the measures of delivery read it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from release_pipelines.adapters.history import History
from release_pipelines.core.delivery.deployments import Attempt, Commit, deployments
from release_pipelines.core.model.records import COMMITS
from release_pipelines.core.model.release_id import ROLLBACK_DAG
from release_pipelines.core.model.verdict import Verdict
from tests.adapters.history.conftest import artifact

PRODUCTION = "production"


@pytest.fixture
def clock(history: History) -> Callable[[float], History]:
    """The history at a time."""

    def at(moment: float) -> History:
        history._now = lambda: moment  # type: ignore[method-assign]
        return history

    return at


def begin(history: History, number: str, version: str, dag: str = "release_shop") -> str:
    release = f"{dag}/{number}#0"
    history.begin(release, "shop", dag, number, version, "alice")
    history.record_artifact(release, artifact(version, version[0]))
    return release


def traffic(history: History, release: str, weight: int, at: float) -> None:
    told = {"step": f"step_{weight}", "weight": weight, "at": at}
    history.record_event(release, "traffic", f"step_{weight}: it has {weight} %", PRODUCTION, told)


def of(history: History) -> list[Attempt]:
    return history.attempts("shop")


def test_a_release_has_its_first_traffic_all_of_it_and_its_commits(clock: Callable[[float], History]) -> None:
    history = clock(100.0)
    release = begin(history, "1", "1.0.0")
    history.attach(release, COMMITS, "application/json", json.dumps([{"sha": "a", "authored_at": 5.0, "counts": True}]))
    traffic(history, release, 10, 110.0)
    traffic(history, release, 100, 150.0)
    clock(180.0).promoted(release)
    assert of(history) == [], "it has not ended"
    history.finish(release, "released", "Released.")
    [it] = of(history)
    assert (it.first_traffic_at, it.full_at, it.back_at, it.environment) == (110.0, 150.0, None, PRODUCTION)
    assert it.commits == (Commit("a", 5.0),)


def test_one_that_went_back_has_when_its_traffic_had_returned(clock: Callable[[float], History]) -> None:
    history = clock(100.0)
    release = begin(history, "1", "1.0.0")
    traffic(history, release, 10, 110.0)
    verdict = Verdict(
        step="step_10", weight=10, judgement="fail", decided_at=118.0, accepted_at=119.5, metrics=[], sentence="Bad."
    )
    history.record_verdict(release, PRODUCTION, verdict, [])
    clock(150.0).finish(release, "rolled_back", "Rolled back.")
    [it] = of(history)
    assert (it.first_traffic_at, it.back_at, it.full_at) == (110.0, 119.5, None)


def test_a_release_of_before_is_told_by_its_verdicts(clock: Callable[[float], History]) -> None:
    history = clock(100.0)
    release = begin(history, "1", "1.0.0")
    verdict = Verdict(step="step_10", weight=10, judgement="pass", decided_at=118.0, metrics=[], sentence="Good.")
    history.record_verdict(release, PRODUCTION, verdict, [])
    clock(150.0).promoted(release)
    history.finish(release, "released", "Released.")
    [it] = of(history)
    assert (it.first_traffic_at, it.full_at) == (118.0, 150.0)


def test_a_persons_way_back_puts_right_what_served_until_then(clock: Callable[[float], History]) -> None:
    history = clock(100.0)
    for number, version, at in (("1", "1.0.0", 100.0), ("2", "2.0.0", 200.0)):
        release = begin(clock(at), number, version)
        traffic(history, release, 100, at + 10)
        history.promoted(release)
        clock(at + 50).finish(release, "released", "Released.")
    back = begin(clock(300.0), "3", "1.0.0", ROLLBACK_DAG)
    clock(310.0).record_event(back, "verified", "all traffic is on 1.0.0", PRODUCTION)
    history.finish(back, "rolled_back", "Back on 1.0.0.")
    found = deployments(of(history))
    assert [(it.attempt.release, it.failed, it.rework) for it in found] == [
        ("release_shop/1#0", False, False),
        ("release_shop/2#0", True, False),
        (back, False, True),
    ]
    assert found[1].recovery == 310.0 - 210.0


def test_a_hotfix_says_since_when_the_one_before_did_harm(clock: Callable[[float], History]) -> None:
    history = clock(100.0)
    bad = begin(history, "1", "1.0.0")
    traffic(history, bad, 100, 110.0)
    history.promoted(bad)
    history.finish(bad, "released", "Released.")
    assert history.promoted_release("shop", "1.0.0") == bad
    assert history.promoted_release("shop", "9.9.9") is None
    fix = begin(clock(200.0), "2", "2.0.0")
    history.record_event(fix, "remedies", "Puts 1.0.0 right.", None, {"release": bad, "since": 150.0})
    traffic(history, fix, 100, 240.0)
    history.promoted(fix)
    history.finish(fix, "released", "Released.")
    first, second = deployments(of(history))
    assert (first.failed, first.recovery, second.rework) == (True, 90.0, True)


def test_what_never_got_traffic_is_no_deployment(clock: Callable[[float], History]) -> None:
    history = clock(100.0)
    for number, outcome in enumerate(("no_op", "rejected", "expired", "failed")):
        release = begin(history, str(number), "1.0.0")
        history.finish(release, outcome, "No.")  # type: ignore[arg-type]
    assert len(of(history)) == 4
    assert deployments(of(history)) == []
