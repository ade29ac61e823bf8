"""What was last seen to run, in both kinds of databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from release_pipelines.adapters.history import History, open_history
from release_pipelines.core.model.progress import Progress
from release_pipelines.core.model.sighting import Drift, Sighting, TrackSeen
from tests.adapters.history.conftest import artifact, digest


@pytest.fixture(params=["sqlite", "postgresql"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> History:
    if request.param == "sqlite":
        return open_history(f"sqlite:///{tmp_path}/history.db")
    return open_history(request.getfixturevalue("postgres"))


def sighting(app: str = "shop", environment: str = "production", at: float = 1000.0, **more: object) -> Sighting:
    known = {"observed_at": at, "digest": digest("a"), "version": "1.0.0", "since": 900.0, **more}
    return Sighting(app=app, environment=environment, looked_at=at, **known)  # type: ignore[arg-type]


def release(history: History, version: str, letter: str, at: float, app: str = "shop", dag: str | None = None) -> str:
    dag = dag or f"release_{app}"
    name = f"{dag}/{version}#0"
    then = history.at(at)
    then.begin(name, app, dag, version, version, "alice")
    made = artifact(version, letter).model_copy(update={"app": app})
    then.record_artifact(name, made)
    return name


def traffic(history: History, name: str, at: float, weight: int = 100, environment: str = "production") -> None:
    told = {"step": "s", "weight": weight, "at": at}
    history.at(at).record_event(name, "traffic", f"{weight} %", environment, told)


def test_a_row_is_read_as_it_was_kept_and_replaced_by_the_next_look(history: History) -> None:
    row = sighting(
        tracks=[TrackSeen(track="stable", digest=digest("a"), weight=100, ready=2, wanted=2)],
        drift=[Drift(kind="version", since=950.0, sentence="somebody did")],
        drift_since=950.0,
        holder="release_shop/1#0",
    )
    history.observe([row])
    assert history.observations() == [row]
    history.observe([sighting(at=1060.0)])
    assert history.observations() == [sighting(at=1060.0)]


def test_one_query_reads_all_apps_or_some(history: History) -> None:
    history.observe([sighting("cart"), sighting(), sighting(environment="staging")])
    assert [(it.app, it.environment) for it in history.observations()] == [
        ("cart", "production"), ("shop", "production"), ("shop", "staging")
    ]  # fmt: skip
    assert {it.app for it in history.observations(["cart", "pay"])} == {"cart"}
    assert history.observations([]) == []


def test_a_look_that_comes_late_changes_nothing(history: History) -> None:
    history.observe([sighting(at=1060.0, version="1.0.1")])
    history.observe([sighting(at=1000.0, version="1.0.0")])
    assert [it.version for it in history.observations()] == ["1.0.1"]


def test_a_history_in_which_nobody_has_looked_says_so(history: History) -> None:
    assert history.observations() == []
    assert history.standing_releases() == []


def test_what_had_all_traffic_is_told_newest_first_with_what_ran_before(history: History) -> None:
    first = release(history, "1.0.1", "a", 10.0)
    traffic(history, first, 20.0, 10)
    traffic(history, first, 30.0)
    second = release(history, "1.0.2", "b", 40.0)
    traffic(history, second, 50.0, 10)
    assert [(it.version, it.at) for it in history.served("shop", "production")] == [("1.0.1", 30.0)]
    traffic(history, second, 60.0)
    assert [(it.version, it.at) for it in history.served("shop", "production")] == [("1.0.2", 60.0), ("1.0.1", 30.0)]
    assert history.served("shop", "staging") == []
    assert history.versions("shop") == {digest("a"): "1.0.1", digest("b"): "1.0.2"}


def test_where_there_are_no_stages_a_deployment_on_stable_has_all_traffic(history: History) -> None:
    name = release(history, "1.0.1", "a", 10.0)
    placed = {"track": "stable", "digest": digest("a"), "previous_digest": digest("0")}
    history.at(20.0).record_event(name, "deployed", ".", "staging", placed)
    history.at(30.0).record_event(name, "deployed", ".", "production", {**placed, "track": "canary"})
    [served] = history.served("shop", "staging")
    assert (served.at, served.before) == (20.0, digest("0"))
    assert history.served("shop", "production") == []


def test_a_way_back_counts_as_what_it_went_back_to(history: History) -> None:
    good = release(history, "1.0.1", "a", 10.0)
    traffic(history, good, 20.0)
    bad = release(history, "1.0.2", "b", 30.0)
    traffic(history, bad, 40.0)
    by_hand = release(history, "1.0.2", "b", 50.0, dag="release_rollback")
    for name, at in ((bad, 45.0), (by_hand, 60.0)):
        plan = {"digest": digest("a"), "version": "1.0.1"}
        history.at(at - 1).record_event(name, "rollback", ".", "production", plan)
        history.at(at).record_event(name, "verified", ".", "production")
    told = [(it.release, it.version, it.at, it.returned) for it in history.served("shop", "production")]
    assert told == [
        (by_hand, "1.0.1", 60.0, False),
        (bad, "1.0.1", 45.0, True),
        (bad, "1.0.2", 40.0, False),
        (good, "1.0.1", 20.0, False),
    ]


def test_a_release_that_went_back_from_a_tenth_leaves_since_when_the_old_one_serves(history: History) -> None:
    good = release(history, "1.0.1", "a", 10.0)
    traffic(history, good, 20.0)
    bad = release(history, "1.0.2", "b", 30.0)
    traffic(history, bad, 40.0, 10)
    history.at(44.0).record_event(bad, "rollback", ".", "production", {"digest": digest("a"), "version": "1.0.1"})
    history.at(45.0).record_event(bad, "verified", ".", "production")
    assert [(it.version, it.at) for it in history.served("shop", "production")] == [("1.0.1", 20.0)]


def test_beside_what_runs_stand_the_releases_that_run_that_ended_last_and_that_brought_it(history: History) -> None:
    scheduled = release(history, "1.0.1", "a", 10.0)
    for number, at in ((2, 20.0), (3, 30.0)):
        history.at(at + 5).finish(release(history, f"1.0.{number}", str(number), at), "released", ".")
    history.at(40.0).finish(scheduled, "released", ".")
    failed = release(history, "1.0.10", "c", 50.0)
    history.at(60.0).finish(failed, "rolled_back", ".")
    running = release(history, "1.0.11", "d", 70.0)
    other = release(history, "9.0.0", "e", 80.0, app="cart")
    history.observe([sighting(release=scheduled)])
    assert {it.id for it in history.standing_releases()} == {scheduled, failed, running, other}
    assert {it.id for it in history.standing_releases(["shop"])} == {scheduled, failed, running}


def test_progress_of_several_releases_is_one_question(history: History) -> None:
    first, second = release(history, "1.0.1", "a", 10.0), release(history, "1.0.2", "b", 20.0)
    at = Progress(at=30.0, environment="production", step="step_10", weight=10, traffic="the canary has 10 %")
    history.keep_progress({first: at})
    assert history.progress_of([first, second]) == {first: at}
