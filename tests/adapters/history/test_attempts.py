"""The history as the measures of delivery read it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from release_pipelines.adapters.history import History
from release_pipelines.adapters.history.attempts import Read
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


def test_a_persons_way_back_from_a_release_that_goes_on_says_nothing_against_the_one_before(
    clock: Callable[[float], History],
) -> None:
    history = clock(100.0)
    good = begin(history, "1", "1.0.0")
    traffic(history, good, 100, 110.0)
    history.promoted(good)
    history.finish(good, "released", "Released.")
    cut_off = begin(clock(200.0), "2", "2.0.0")
    traffic(history, cut_off, 10, 210.0)
    back = begin(clock(220.0), "3", "2.0.0", ROLLBACK_DAG)
    history.finish(cut_off, "superseded", "A person went back.")
    clock(230.0).record_event(back, "verified", "all traffic is on 1.0.0", PRODUCTION)
    history.finish(back, "rolled_back", "Back on 1.0.0.")
    found = {it.attempt.release: (it.failed, it.rework) for it in deployments(of(history))}
    assert found == {good: (False, False), back: (False, True)}


def test_what_ended_long_ago_is_read_once_and_again_when_its_outcome_changes(
    clock: Callable[[float], History],
) -> None:
    history = clock(100.0)
    old = begin(history, "1", "1.0.0")
    traffic(history, old, 100, 110.0)
    history.finish(old, "released", "Released.")
    read: Read = {}
    first = clock(10 * 86400.0).attempts(read=read)
    assert set(read) == {(old, "released")}
    kept = read[old, "released"]
    assert history.attempts(read=read) == first == history.attempts()
    assert read[old, "released"] is kept
    new = begin(history, "2", "2.0.0")
    traffic(history, new, 10, 10 * 86400.0)
    history.finish(new, "rolled_back", "Back.")
    history.finish(old, "rolled_back", "A person went back.")
    again = history.attempts(read=read)
    assert again == history.attempts()
    assert set(read) == {(old, "rolled_back"), (new, "rolled_back")}


def test_a_history_of_many_releases_is_read_in_few_queries(clock: Callable[[float], History]) -> None:
    from sqlalchemy import event

    history = clock(100.0)
    for number in range(30):
        traffic(history, begin(history, str(number), "1.0.0"), 100, 110.0)
        history.finish(f"release_shop/{number}#0", "released", "Released.")
    asked: list[str] = []
    event.listen(history._engine, "before_cursor_execute", lambda _c, _k, statement, *_: asked.append(statement))
    read: Read = {}
    clock(10 * 86400.0).attempts(read=read)
    first = len([it for it in asked if it.lstrip().startswith("SELECT")])
    asked.clear()
    history.attempts(read=read)
    assert first == 4
    assert len([it for it in asked if it.lstrip().startswith("SELECT")]) == 1
