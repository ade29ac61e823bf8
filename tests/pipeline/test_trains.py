"""Whole trains: several apps in waves, each by its own DAG, and what happens when one of them fails (R21)."""

from __future__ import annotations

import pytest

from tests.pipeline.trains import ALL, Trains, train_outside, trains

__all__ = ["train_outside", "trains"]


def test_a_good_train_releases_its_apps_wave_after_wave(trains: Trains) -> None:
    trains.runs("2.0.0")
    done = trains.depart(**ALL, requested_by="alice")
    print([(k, v.state, v.pushed("preflight","reason"), v.sentence, v.states) for k, v in trains.ended.items()])
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
