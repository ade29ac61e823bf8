"""A release that version 0.1 began goes on with the code of today: the package is upgraded in the middle of a canary."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk._shared.module_loading import import_string

from release_pipelines.adapters.history import open_history
from release_pipelines.airflow.hooks import platform as platform_hook
from release_pipelines.core.model.verdict import Verdict
from tests.fakes import NEW, World
from tests.pipeline.conftest import Outside, Released, Releases, moves
from tests.upgrade.conftest import RECORDED, Recorded, _put_history, recorded

FAILED = Verdict(judgement="fail", decided_at=1.0, step="step_50", weight=50, sentence="too many errors")

GoesOn = Callable[[str], Released]


@pytest.mark.begins_first
def test_a_stage_that_waited_ends_and_the_release_goes_on(goes_on: GoesOn, releases: Releases) -> None:
    done = goes_on("StageTrigger")
    assert (done.state, done.outcome) == ("success", "released"), done.sentence
    assert done.pushed("production.step_50", "verdict")["judgement"] == "pass"
    assert moves(releases.production)[-3:] == [100, 50, 0]
    _released(releases)


@pytest.mark.parametrize("moment", ["CheckTrigger", "ReleaseApprovalTrigger", "PromoteTrigger"])
def test_a_check_a_question_and_a_promotion_that_waited_go_on(moment: str, goes_on: GoesOn, releases: Releases) -> None:
    done = goes_on(moment)
    assert (done.state, done.outcome) == ("success", "released"), done.sentence
    _released(releases)


def _released(releases: Releases) -> None:
    production = releases.production
    assert set(production.tracks) == {"stable"}
    assert production.tracks["stable"].digest == NEW
    assert production.note.done
    assert production.lease is None


def test_a_version_that_turns_bad_after_the_upgrade_is_rolled_back(goes_on: GoesOn, releases: Releases) -> None:
    releases.outside.bad = 0.05
    done = goes_on("StageTrigger")
    assert (done.state, done.outcome) == ("failed", "rolled_back"), done.sentence
    assert moves(releases.production)[-1] == 0
    assert releases.production.lease is None


# --- triggers alone -------------------------------------------------------------------------------------------


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    it = World()
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path))
    for name in ("PLATFORM", "REGISTRY", "PROMETHEUS"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "generic", "host": "nowhere"}))
    monkeypatch.setattr(platform_hook, "_build", lambda *_: it.platform())
    return it


@pytest.fixture
def lease_held(world: World, outside: Outside) -> Recorded:
    was = recorded("HoldLeaseTrigger", outside)
    was.restore(world)
    return was


async def event_of(trigger: Any) -> Any:
    return (await asyncio.wait_for(anext(trigger.run()), 30)).payload


async def test_the_lease_is_renewed_until_it_is_given_back(lease_held: Recorded, world: World) -> None:
    world.after = lambda call: None
    before = world.lease
    assert before

    def give_back(call: str) -> None:
        if call == "renew_lease" and world.calls.count("renew_lease") > 1:
            world.lease = None

    world.before = give_back
    assert await event_of(lease_held.trigger()) == {"given_back": True}


async def test_who_waits_for_the_lease_gets_it(lease_held: Recorded, world: World) -> None:
    world.lease = None
    trigger = import_string("release_pipelines.triggers.lease.LeaseFreeTrigger")(
        target=lease_held.run["deferred"]["kwargs"]["target"]
    )
    assert await event_of(trigger) == {"free": True}


async def test_a_rollout_that_waited_ends(lease_held: Recorded, world: World) -> None:
    trigger = import_string("release_pipelines.triggers.rollout.RolloutTrigger")(
        target=lease_held.run["deferred"]["kwargs"]["target"], track="stable", fence=world.fence, release=None
    )
    assert (await event_of(trigger))["status"]["settled"]


async def test_what_ran_beside_stable_goes(lease_held: Recorded, world: World) -> None:
    trigger = import_string("release_pipelines.triggers.retire.RetireTrigger")(
        target=lease_held.run["deferred"]["kwargs"]["target"], fence=world.fence, at=0.0
    )
    await event_of(trigger)
    assert set(world.tracks) == {"stable"}


MOMENTS = ["StageTrigger", "CheckTrigger", "ReleaseApprovalTrigger", "PromoteTrigger", "HoldLeaseTrigger"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_arguments_of_a_newer_version_are_kept_and_passed_on(moment: str, outside: Outside) -> None:
    was = recorded(moment, outside)
    known = was.trigger().serialize()[1]
    newer = {"newer": 1, "target": {**known["target"], "newer": {"a": 1}}}
    if known.get("stage"):
        newer["stage"] = {**known["stage"], "newer": [1]}
    path, arguments = was.trigger(**newer).serialize()
    assert {key: arguments[key] for key in newer} == newer
    again = import_string(path)(**arguments)
    assert again.serialize() == (path, arguments)


async def test_a_stage_with_keys_of_a_newer_version_is_judged(world: World, outside: Outside) -> None:
    was = recorded("StageTrigger", outside)
    was.restore(world)
    assert world.route
    verdict = world.route.note.model_copy(update={"verdict": FAILED, "step": "step_50"})
    world.route = world.route.model_copy(update={"note": verdict})
    stage = {**was.trigger().serialize()[1]["stage"], "newer": 1}
    event = await event_of(was.trigger(stage=stage))
    assert event["verdict"]["sentence"] == FAILED.sentence


# --- the history ----------------------------------------------------------------------------------------------


@pytest.fixture
def histories(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    script = (RECORDED / "PromoteTrigger" / "history.sql").read_text()
    if request.param == "sqlite":
        _put_history(tmp_path / "history.db", script)
        yield f"sqlite:///{tmp_path / 'history.db'}"
        return
    from sqlalchemy import create_engine

    url = request.getfixturevalue("postgres")
    with sqlite3.connect(":memory:") as db:
        db.executescript(script)
        rows = [it for it in db.iterdump() if it.startswith("INSERT") and "version" not in it.split("VALUES")[0]]
    rows.sort(key=lambda row: '"releases"' not in row)
    with create_engine(url).begin() as connection:
        for statement in [*(RECORDED / "postgresql.sql").read_text().split(";\n"), *rows]:
            if statement.strip():
                connection.exec_driver_sql(statement.replace("%", "%%"))
    yield url


@pytest.mark.parametrize("histories", ["sqlite", "postgresql"], indirect=True)
def test_an_old_history_is_read_and_written(histories: str) -> None:
    history = open_history(histories)
    newest = history.releases("shop")[0]
    assert (newest.version, newest.outcome) == ("1.1.0", None)
    assert [it.step for it in history.release(newest.id).verdicts] == ["step_10", "step_50", "bake"]
    history.finish(newest.id, "released", "Released 1.1.0.")
    assert history.releases("shop")[0].outcome == "released"


@pytest.mark.parametrize("histories", ["sqlite"], indirect=True)
def test_an_old_history_says_what_speaks_against_a_version_and_who_lifted_it(histories: str) -> None:
    history = open_history(histories)
    newest = history.releases("shop")[0]
    history.mark(newest.id, "production", True, "Rolled back 1.1.0: error rate 5 %.")
    history.finish(newest.id, "rolled_back", "Rolled back 1.1.0: error rate 5 %.")
    assert [it.good for it in history.stability("shop", "production") if it.version == "1.1.0"] == [False]
    [lifted] = history.lift("shop", "1.1.0", "production", "carol", "the network was away")
    assert (lifted.release, lifted.lifted_by) == (newest.id, "carol")
