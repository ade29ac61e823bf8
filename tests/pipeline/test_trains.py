"""Whole trains: several apps in waves, each by its own DAG, and what happens when one of them fails (R21)."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.trains.report import TRAIN_REPORT
from tests.pipeline.trains import ALL, Trains, digest, train_outside, trains

__all__ = ["train_outside", "trains"]

NEEDS = "waves: [[cart, search], [shop]]\nneeds: {shop: [cart]}\n"
ASKED = {**ALL, "requested_by": "alice"}


def told(app: str) -> list[dict[str, Any]]:
    """What the events of an app's asset say, oldest first."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = (
        select(AssetEvent.extra)
        .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        .where(AssetModel.uri == f"release://production/{app}")
        .order_by(AssetEvent.id)
    )
    with create_session() as session:
        return [dict(it) for it in session.scalars(query)]


def test_a_good_train_releases_its_apps_wave_after_wave(trains: Trains) -> None:
    trains.whole = True
    trains.runs("2.0.0")
    before = {app: len(told(app)) for app in trains.serving()}
    trains.after_run = lambda dag_id: before.update(at_end=sum(len(told(app)) for app in trains.serving()))
    done = trains.depart(**ASKED)
    assert (done.state, done.outcome) == ("success", "released"), done.sentence
    assert trains.serving() == {"cart": "2.1.0", "search": "2.1.0", "shop": "2.1.0"}
    dags = [dag_id for dag_id, _ in trains.began]
    assert sorted(dags[:2]) == ["release_cart", "release_search"]
    assert dags[2:] == ["release_shop"]
    assert trains.results() == {"cart": "released", "search": "released", "shop": "released"}
    assert trains.asked == ["train_weekly"], "one form for the whole train"
    for app in ("cart", "search", "shop"):
        [approval] = trains.history.release(trains.history.releases(app)[0].id).approvals
        assert (approval.decision, approval.by) == ("approved", "bob")
        assert approval.note == f"in {trains.id}"
    assert before.pop("at_end") == sum(before.values()), "what a train may still take back is announced by nobody"
    for app in ("cart", "search", "shop"):
        [event] = told(app)[before[app] :]
        assert (event["version"], event["digest"]) == ("2.1.0", digest(app, "2.1.0"))
    assert trains.history.train_of("cart", "production") is None


def test_when_the_third_is_bad_the_others_go_back_in_reverse_order(trains: Trains) -> None:
    trains.whole = True
    trains.runs("2.0.0")
    trains.outside.bad_apps, trains.outside.bad = {"shop"}, 0.05
    before = {app: len(told(app)) for app in trains.serving()}
    done = trains.depart(**ASKED)
    assert (done.state, done.outcome) == ("failed", "compensated"), done.sentence
    assert trains.serving() == {"cart": "2.0.0", "search": "2.0.0", "shop": "2.0.0"}
    held = [dag_id.removeprefix("release_") for dag_id, _ in trains.began[:2]]
    assert trains.backs() == list(reversed(held)), (
        "the one that held last goes back first; shop has gone back by itself"
    )
    assert trains.results() == {"cart": "taken_back", "search": "taken_back", "shop": "failed"}
    assert done.sentence.startswith("Compensated train weekly: shop 2.1.0: Rolled back 2.1.0")
    [report] = [it for it in trains.history.attachments(trains.id) if it.name == TRAIN_REPORT]
    assert "| 1 | cart | 2.0.0 | 2.1.0 | **taken back**: it runs 2.0.0 again | bob |" in report.content
    assert "| 2 | shop | 2.0.0 | 2.1.0 | **not released**: Rolled back 2.1.0" in report.content
    assert {app: len(told(app)) for app in trains.serving()} == before, "nothing of it has held"
    assert all(trains.world(app).lease is None for app in trains.serving())


def test_an_app_that_fails_to_go_back_is_told_and_the_others_go_on(trains: Trains) -> None:
    trains.runs("2.0.0")
    trains.outside.bad_apps = {"shop"}

    def refuse(call: str) -> None:
        if call == "take_lease":
            raise PlatformError("The cluster refuses it.")

    def before_run(dag_id: str) -> None:
        if dag_id == "release_rollback" and trains.backs()[-1:] == ["cart"]:
            trains.world("cart").before = refuse

    trains.before_run = before_run
    done = trains.depart(**ASKED)
    assert (done.state, done.outcome) == ("failed", "compensation_failed"), done.sentence
    assert trains.results() == {"cart": "not_taken_back", "search": "taken_back", "shop": "failed"}
    assert trains.serving() == {"cart": "2.1.0", "search": "2.0.0", "shop": "2.0.0"}
    assert "A person is needed: cart failed to go back (" in done.sentence
    assert "The cluster refuses it." in done.sentence
    assert done.states["take_back"] == "failed"
    [report] = [it for it in trains.history.attachments(trains.id) if it.name == TRAIN_REPORT]
    assert "1. **cart** in production failed to go back to 2.0.0" in report.content


@pytest.mark.parametrize("trains", [NEEDS], indirect=True)
def test_what_an_app_needs_that_failed_to_go_back_stays(trains: Trains) -> None:
    """Here shop's own way back has failed, so its new version serves, and needs cart's."""
    trains.runs("2.0.0")

    def after_run(dag_id: str) -> None:
        if dag_id == "release_shop":
            trains.history.finish(
                trains.history.releases("shop")[0].id, "rollback_failed", "Rollback of 2.1.0 failed: x."
            )

    trains.after_run = after_run
    done = trains.depart(**ASKED)
    assert done.outcome == "compensation_failed", done.sentence
    assert trains.results() == {"cart": "stays", "search": "taken_back", "shop": "not_taken_back"}
    assert trains.rows()["cart"].sentence == "shop 2.1.0 needs it, and stays"
    assert trains.backs() == ["search"]


def test_an_app_with_nothing_to_do_counts_as_held_and_is_neither_approved_nor_taken_back(trains: Trains) -> None:
    trains.runs("2.0.0", "cart", "shop")
    trains.runs("2.1.0", "search")
    trains.outside.bad_apps = {"shop"}
    done = trains.depart(**ASKED)
    assert done.outcome == "compensated", done.sentence
    assert trains.results() == {"cart": "taken_back", "search": "no_op", "shop": "failed"}
    assert "release_search" not in [dag_id for dag_id, _ in trains.began]
    assert trains.rows()["search"].approved_at is None
    assert trains.backs() == ["cart"]


def test_a_train_with_nothing_to_do_is_a_good_one_that_asks_nobody(trains: Trains) -> None:
    trains.runs("2.1.0")
    done = trains.depart(**ASKED)
    assert (done.state, done.outcome) == ("success", "no_op"), done.sentence
    assert trains.asked == []
    assert trains.began == []


@pytest.mark.parametrize("trains", ["waves: [[cart, search], [shop]]\nwhen_held: stop\n"], indirect=True)
def test_a_train_that_does_not_wait_stops_at_an_app_that_another_release_holds(trains: Trains) -> None:
    trains.runs("2.0.0")
    world = trains.world("shop")

    def hold(dag_id: str) -> None:
        world.fence = 7
        world.lease = Lease(holder="release_shop/urgent#0", fence=7, expires_at=2e10)

    trains.before_run = hold
    done = trains.depart(**ASKED)
    assert done.outcome == "compensated", done.sentence
    assert "shop in production is being changed by release_shop/urgent#0" in done.sentence
    assert trains.results() == {"cart": "taken_back", "search": "taken_back", "shop": "not_started"}
    assert "release_shop" not in [dag_id for dag_id, _ in trains.began]


def test_a_train_waits_for_an_app_that_another_release_holds(trains: Trains) -> None:
    trains.runs("2.0.0")
    world = trains.world("shop")

    def hold(dag_id: str) -> None:
        if dag_id == "release_cart":
            world.fence = 7
            world.lease = Lease(holder="release_shop/urgent#0", fence=7, expires_at=2e10)

    looks: list[str] = []

    def look(call: str) -> None:
        looks.append(call)
        if world.lease and len(looks) > 5:
            assert "release_shop" not in [dag_id for dag_id, _ in trains.began]
            world.lease = None

    trains.before_run = hold
    world.before = look
    done = trains.depart(**ASKED)
    assert done.outcome == "released", done.sentence
    assert len(looks) > 5


def test_an_app_that_was_released_again_meanwhile_is_left_alone(trains: Trains) -> None:
    trains.runs("2.0.0")
    trains.outside.bad_apps = {"shop"}

    def urgent(dag_id: str) -> None:
        if dag_id == "release_shop":
            trains.runs("2.2.0", "cart")

    trains.before_run = urgent
    done = trains.depart(**ASKED)
    assert done.outcome == "compensated", done.sentence
    assert trains.results() == {"cart": "moved_on", "search": "taken_back", "shop": "failed"}
    assert trains.serving()["cart"] == "2.2.0"
    assert trains.backs() == ["search"]
    assert "Moved on: cart 2.1.0" in done.sentence


def test_a_person_who_rolls_one_back_stops_the_train_which_does_not_release_it_again(trains: Trains) -> None:
    trains.runs("2.0.0")

    def person(dag_id: str) -> None:
        if dag_id == "release_shop":
            trains.roll_back("cart")

    trains.before_run = person
    done = trains.depart(**ASKED)
    assert done.outcome == "compensated", done.sentence
    assert "alice (started by dag_test) rolled cart back: prices are wrong" in done.sentence
    assert trains.results() == {"cart": "moved_on", "search": "taken_back", "shop": "taken_back"}
    assert [dag_id for dag_id, _ in trains.began].count("release_cart") == 1
    assert trains.serving() == {"cart": "2.0.0", "search": "2.0.0", "shop": "2.0.0"}


@pytest.mark.parametrize("trains", ["waves: [[cart, search], [shop]]\ncompensate: wave\n"], indirect=True)
def test_with_wave_only_the_wave_goes_back_in_which_it_stopped(trains: Trains) -> None:
    trains.runs("2.0.0")
    trains.outside.bad_apps = {"shop"}
    before = len(told("cart"))
    done = trains.depart(**ASKED)
    assert (done.state, done.outcome) == ("failed", "stopped"), done.sentence
    assert trains.results() == {"cart": "released", "search": "released", "shop": "failed"}
    assert trains.backs() == []
    assert len(told("cart")) == before + 1, "what stays has held"


@pytest.mark.parametrize("trains", ["waves: [[cart], [shop]]\nbake: 300ms\n"], indirect=True)
def test_in_the_shared_bake_any_apps_verdict_counts(trains: Trains) -> None:
    trains.runs("2.0.0", "cart", "shop")

    def turns_bad(dag_id: str) -> None:
        if dag_id == "release_shop":  # cart has held long since
            trains.outside.bad_apps, trains.outside.bad = {"cart"}, 0.05

    trains.after_run = turns_bad
    done = trains.depart(version_cart="2.1.0", version_shop="2.1.0", requested_by="alice")
    assert done.outcome == "compensated", done.sentence
    assert "In the shared bake: cart: error rate 5 % over" in done.sentence
    assert trains.results() == {"cart": "taken_back", "shop": "taken_back"}
    assert trains.backs() == ["shop", "cart"]
    [known] = [it for it in trains.history.releases("cart") if it.dag_id == "release_cart" and it.version == "2.1.0"]
    assert [it.step for it in trains.history.release(known.id).verdicts] == ["shared_bake"]


@pytest.mark.parametrize("trains", ["waves: [[cart], [shop]]\nbake: 300ms\n"], indirect=True)
def test_a_shared_bake_that_is_good_ends_the_train_well(trains: Trains) -> None:
    trains.runs("2.0.0", "cart", "shop")
    done = trains.depart(version_cart="2.1.0", version_shop="2.1.0", requested_by="alice")
    assert done.outcome == "released", done.sentence
    assert set(done.pushed("bake")) == {"cart", "shop"}


def test_a_rejected_train_touches_nothing(trains: Trains) -> None:
    trains.runs("2.0.0")
    trains.by = None
    done = trains.depart(**ASKED)
    assert (done.state, done.outcome) == ("failed", "rejected"), done.sentence
    assert trains.began == []
    assert trains.history.train_of("cart", "production") is None


def test_an_app_left_out_is_skipped(trains: Trains) -> None:
    trains.runs("2.0.0")
    done = trains.depart(version_cart="2.1.0", requested_by="alice")
    assert done.outcome == "released", done.sentence
    assert trains.results() == {"cart": "released", "search": "skipped", "shop": "skipped"}
    assert trains.serving() == {"cart": "2.1.0", "search": "2.0.0", "shop": "2.0.0"}


def test_an_app_whose_dag_airflow_does_not_know_stops_the_train_in_a_sentence(trains: Trains) -> None:  # R12
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import update

    def gone(stale: bool) -> None:
        with create_session() as session:
            session.execute(update(DagModel).where(DagModel.dag_id == "release_shop").values(is_stale=stale))

    trains.runs("2.0.0")
    trains.after_run = lambda dag_id: gone(True)
    done = trains.depart(**ASKED)
    gone(False)
    assert done.outcome == "compensated", done.sentence
    assert "Airflow starts no run of release_shop (status 404)" in done.sentence
    assert trains.results() == {"cart": "taken_back", "search": "taken_back", "shop": "failed"}
