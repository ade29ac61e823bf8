"""All apps at once: what runs, what is going on, how the last releases ended."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, insert

from release_pipelines.adapters.history import History, open_history
from release_pipelines.adapters.history.tables import observations, reports
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.progress import Progress
from release_pipelines.core.model.release_id import ROLLBACK_DAG
from release_pipelines.core.model.sighting import Sighting
from release_pipelines.core.model.train import TrainApp

DIGEST = "sha256:" + "a" * 64


@pytest.fixture(params=["sqlite", "postgres"])
def history(request: pytest.FixtureRequest) -> History:
    """The history in both databases."""
    if request.param == "postgres":
        return open_history(request.getfixturevalue("postgres"))
    return open_history(f"sqlite:///{request.getfixturevalue('tmp_path')}/history.db")


def release(history: History, app: str, run: str, at: float, version: str = "1.0.0", dag: str | None = None) -> str:
    dag = dag or f"release_{app}"
    history.at(at).begin(f"{dag}/{run}#0", app, dag, run, version, "alice")
    return f"{dag}/{run}#0"


def ended(history: History, release_id: str, at: float, outcome: Any, *environments: str) -> None:
    then = history.at(at)
    for it in environments:
        then.record_event(release_id, "deployed", f"It runs in {it}.", it)
    if outcome == "released":
        then.promoted(release_id)
    then.finish(release_id, outcome, f"It ended {outcome}.")


def test_an_empty_history_has_no_apps(history: History) -> None:
    told = history.told()
    assert not any((told.newest, told.running, told.last, told.last_in, told.seen, told.held))


def test_the_last_release_is_the_one_that_ended_last(history: History) -> None:
    scheduled = release(history, "shop", "1", 10.0, "1.0.1")
    for number, at in (("2", 20.0), ("3", 30.0)):
        ended(history, release(history, "shop", number, at, f"1.0.{number}"), at + 1, "released", "production")
    ended(history, scheduled, 40.0, "released", "production")
    told = history.told()
    assert told.last["shop"].version == "1.0.1"
    assert told.last_in["shop", "production"].version == "1.0.1"
    assert told.newest["shop"].version == "1.0.3", "which says whose the app is, not what runs"


def test_an_environment_has_the_last_release_that_came_so_far(history: History) -> None:
    ended(history, release(history, "shop", "1", 10.0, "1.0.0"), 20.0, "released", "staging", "production")
    ended(history, release(history, "shop", "2", 30.0, "1.1.0"), 40.0, "failed", "staging")
    ended(history, release(history, "shop", "3", 50.0, "1.2.0"), 60.0, "failed")
    told = history.told()
    assert told.last["shop"].version == "1.2.0"
    assert told.last_in["shop", "staging"].version == "1.1.0"
    assert told.last_in["shop", "production"].version == "1.0.0"


def test_running_releases_have_their_step_their_approval_and_their_plan(history: History) -> None:
    at_ten = release(history, "shop", "1", 10.0)
    look = {"at": 11.0, "environment": "production", "step": "step_10", "weight": 10, "traffic": "10 %"}
    history.keep_progress({at_ten: Progress(**look, earliest=20.0, latest=30.0)})
    asks = release(history, "cart", "1", 10.0)
    history.record_event(asks, "asked", "Asked whether 1.0.0 may go on.")
    planned = release(history, "mail", "1", 10.0)
    history.plan(planned, "production", "2026-12-01 22:00 UTC", lambda _: False)
    told = history.told()
    [shop], [cart], [mail] = told.running["shop"], told.running["cart"], told.running["mail"]
    assert shop.progress is not None
    assert (shop.state, shop.progress.step, shop.progress.weight) == ("running", "step_10", 10)
    assert (cart.state, cart.for_a_person) == ("waits for approval", True)
    assert (mail.state, mail.planned) == ("planned", "2026-12-01 22:00 UTC")
    history.record_approval(asks, DIGEST, "approved", "bob", None)
    [cart] = history.told().running["cart"]
    assert (cart.state, cart.approver) == ("running", "bob")


def test_progress_that_another_version_wrote_is_left_out(history: History) -> None:
    running = release(history, "shop", "1", 10.0)
    row = {"release_id": running, "name": "progress.json", "media_type": "application/json", "at": 1.0}
    with history._write() as connection:
        connection.execute(insert(reports).values(content='{"other": 1}', **row))
    [shop] = history.told().running["shop"]
    assert shop.progress is None


def test_what_runs_is_what_was_observed_with_who_brought_it(history: History) -> None:
    brought = release(history, "shop", "1", 10.0, "1.0.1")
    artifact = Artifact(app="shop", version="1.0.1", image="registry.example/shop", digest=DIGEST)
    history.record_artifact(brought, artifact)
    ended(history, brought, 20.0, "released", "production")
    ended(history, release(history, "shop", "2", 30.0, "1.0.10"), 40.0, "rolled_back", "production")
    seen = {"looked_at": 100.0, "observed_at": 100.0, "release": brought}
    history.observe(
        [Sighting(app="shop", environment="production", digest=DIGEST, version="1.0.1", since=15.0, **seen)]
    )
    told = history.told()
    assert told.seen["shop", "production"].since == 15.0
    assert told.brought["shop", "production"].version == "1.0.1"
    assert told.brought["shop", "production"].by == "alice"
    assert told.last_in["shop", "production"].version == "1.0.10"


def test_a_look_that_another_version_wrote_stands_as_far_as_it_can_be_read(history: History) -> None:
    row = {"app": "shop", "environment": "production", "looked_at": 100.0, "version": "1.0.1", "data": {"health": 5}}
    with history._write() as connection:
        connection.execute(insert(observations).values(row))
    seen = history.told().seen["shop", "production"]
    assert (seen.version, seen.health) == ("1.0.1", None)


def test_a_rollback_by_a_person_says_not_whose_an_app_is(history: History) -> None:
    ended(history, release(history, "shop", "1", 10.0), 20.0, "released", "production")
    ended(history, release(history, "shop", "9", 30.0, dag=ROLLBACK_DAG), 40.0, "released", "production")
    told = history.told()
    assert told.newest["shop"].dag_id == "release_shop"
    assert told.last["shop"].dag_id == ROLLBACK_DAG


def test_a_train_has_its_apps_and_holds_them(history: History) -> None:
    train = release(history, "train_weekly", "1", 10.0, dag="train_weekly")
    apps = [TrainApp(app=it, environment="production", wave=1, position=n) for n, it in enumerate(("b1", "a1"))]
    history.plan_train(train, "b1, a1", apps)
    history.hold_apps(train, apps)
    told = history.told()
    [it] = told.running["train_weekly"]
    assert [app.app for app in it.apps] == ["b1", "a1"]
    assert told.held == {("a1", "production"): train, ("b1", "production"): train}


def test_it_takes_as_many_queries_for_many_apps_as_for_one(history: History) -> None:
    asked: list[str] = []
    event.listen(history._engine, "before_cursor_execute", lambda *it: asked.append(it[2]))

    def queries() -> int:
        asked.clear()
        history.told()
        return len(asked)

    release(history, "app-0", "1", 1.0)
    one = queries()
    for n in range(1, 30):
        ended(history, release(history, f"app-{n}", "1", 10.0 + n), 20.0 + n, "released", "staging", "production")
        release(history, f"app-{n}", "2", 50.0 + n)
    assert queries() == one
