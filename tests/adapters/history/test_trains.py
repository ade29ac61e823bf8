"""What the history keeps of trains, and which apps they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from release_pipelines.adapters.history import History, UnknownRelease, open_history
from release_pipelines.adapters.history.trains import HOLD_SECONDS
from release_pipelines.core.model.person import Identity
from release_pipelines.core.model.train import TrainApp
from tests.adapters.history.conftest import artifact, digest

ONE, OTHER = "train_one/r#0", "train_other/r#0"


def app(name: str = "shop", letter: str = "b") -> TrainApp:
    return TrainApp(app=name, environment="production", wave=1, version="1.1.0", digest=digest(letter), image="r/shop")


@pytest.fixture(params=["sqlite", "postgresql"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> History:
    url = f"sqlite:///{tmp_path}/history.db"
    return open_history(url if request.param == "sqlite" else request.getfixturevalue("postgres"))


def begun(history: History, *trains: str) -> None:
    for it in trains:
        name = it.partition("/")[0]
        history.begin(it, name, name, "r", "unknown", "alice")


def test_two_trains_never_hold_one_app_and_get_all_of_theirs_or_none(history: History) -> None:
    begun(history, ONE, OTHER)
    assert history.hold_apps(ONE, [app("cart")]) == {}
    assert history.hold_apps(OTHER, [app("search"), app("cart")]) == {"cart": ONE}
    assert history.train_of("search", "production") is None
    assert history.hold_apps(ONE, [app("cart")]) == {}, "asked again it still is its own"
    history.end_holds(ONE)
    assert history.hold_apps(OTHER, [app("search"), app("cart")]) == {}


def test_a_train_that_has_ended_or_is_not_heard_of_holds_nothing(history: History) -> None:
    begun(history, ONE, OTHER)
    history.hold_apps(ONE, [app("cart")])
    later = history.at(history._now() + HOLD_SECONDS + 1)
    assert later.train_of("cart", "production") is None
    assert later.hold_apps(OTHER, [app("cart")]) == {}
    assert later.train_of("cart", "production") == OTHER
    later.finish(OTHER, "compensated", "Compensated.")
    assert later.hold_apps(ONE, [app("cart")]) == {}


def test_what_a_train_releases_is_fixed_once(history: History) -> None:
    begun(history, ONE)
    history.plan_train(ONE, "shop 1.1.0", [app()])
    history.plan_train(ONE, "shop 9.9.9", [app(letter="c")])
    [kept] = history.train_apps(ONE)
    assert kept == app()
    assert history.release(ONE).version == "shop 1.1.0"
    with pytest.raises(UnknownRelease):
        history.plan_train("train_none/r#0", "x", [app()])


def test_a_run_is_a_trains_where_the_train_has_recorded_it(history: History) -> None:
    begun(history, ONE)
    history.plan_train(ONE, "shop 1.1.0", [app()])
    assert history.ticket("shop", "train_one.r") is None
    history.change_train(ONE, "shop", run_id="train_one.r")
    history.approve_train(ONE, ["shop"], Identity("7", "bob"))
    history.approve_train(ONE, ["shop"], Identity("8", "carol"))
    ticket = history.ticket("shop", "train_one.r")
    assert ticket is not None
    assert ticket[0] == ONE
    assert (ticket[1].approver, ticket[1].approver_id) == ("bob", "7"), "the first answer counts"
    assert history.ticket("cart", "train_one.r") is None


def passed(history: History, version: str, letter: str, *, asked: bool = True) -> str:
    """A release that came through staging."""
    release = f"release_shop/{version}#0"
    history.begin(release, "shop", "release_shop", version, version, "alice")
    history.record_artifact(release, artifact(version, letter))
    history.record_event(release, "deployed", "It is deployed.", "staging")
    if asked:
        history.record_event(release, "asked", "Asked whether it may go on.")
    return release


def newest(history: History) -> str | None:
    found = history.newest_passed("shop", "staging", "production")
    return found.version if found else None


def test_the_newest_that_passed_staging_is_not_what_production_took_back(history: History) -> None:
    assert newest(history) is None
    passed(history, "1.0.0", "a")
    passed(history, "1.0.1", "e", asked=False)
    assert newest(history) == "1.0.0", "1.0.1 has not come through staging yet"
    bad = passed(history, "1.1.0", "b")
    assert newest(history) == "1.1.0"
    history.finish(bad, "rolled_back", "Rolled back 1.1.0.")
    history.mark(bad, "production", True, "error rate 5 %")
    assert newest(history) == "1.0.0"
    history.lift("shop", "1.1.0", "production", "bob", "the database was down")
    assert newest(history) == "1.1.0"
    rejected = passed(history, "1.2.0", "c")
    history.record_approval(rejected, digest("c"), "rejected", "bob")
    assert newest(history) == "1.1.0", "nor what a person has rejected"


def test_what_a_person_rolled_back_is_not_the_newest_next_week(history: History) -> None:
    passed(history, "1.0.0", "a")
    held = passed(history, "1.1.0", "b")
    history.promoted(held)
    history.finish(held, "released", "Released 1.1.0.")
    assert newest(history) == "1.1.0"
    back = "release_rollback/r#0"
    history.begin(back, "shop", "release_rollback", "r", "1.1.0", "alice", "prices are wrong")
    history.record_artifact(back, artifact("1.1.0", "b"))
    history.finish(back, "rolled_back", "Rolled back 1.1.0.")
    history.mark(back, "production", True, "prices are wrong")
    assert newest(history) == "1.0.0"


def test_a_trains_rows_go_with_the_train(history: History) -> None:
    begun(history, ONE)
    history.plan_train(ONE, "shop 1.1.0", [app()])
    history.hold_apps(ONE, [app()])
    history.finish(ONE, "released", "Released.")
    assert history.at(history._now() + 10 * 86400).prune(1) == 1
    assert history.train_apps(ONE) == []
