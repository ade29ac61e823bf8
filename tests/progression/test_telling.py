"""People see in the task's log, in the history and in the run's note how far a stage has come, while it goes on."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from release_pipelines.airflow import notes, progress
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.notice import Waiting
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.progress import Progress
from release_pipelines.core.model.units import lasting
from release_pipelines.core.progression.hold import has_traffic
from release_pipelines.core.progression.telling import Telling
from tests.fakes import FakePrometheus, World
from tests.progression.helpers import RELEASE, command, effect, promotion, released, stage, step, until
from tests.receivers import Receiver

NOW = 1e9


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "KEEP_SECONDS", 0.02)
    monkeypatch.setattr(notes._Known, "read_at", -math.inf)
    monkeypatch.setattr(notes._Known, "token", None)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    it = Receiver()
    yield it
    it.close()


def begun(world: World) -> None:
    released(world, canary=True)
    HistoryHook().history().begin(RELEASE, "shop", "release_shop", "run", "1.1.0", "alice")


def kept() -> Progress | None:
    return HistoryHook().history().release(RELEASE).progress


async def test_every_tick_is_said_in_the_log_with_what_is_still_missing(
    world: World, prometheus: FakePrometheus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "release_pipelines")
    begun(world)
    metrics = [
        {"name": "errors", "source": "errors", "limit": 0.01},
        {"name": "slow", "source": "slow_requests", "limit": 0.05, "min_requests": 5000},
    ]
    work = asyncio.ensure_future(step(hold=30, analysis={"metrics": metrics}).run().__anext__())

    def said() -> list[str]:
        return [it.getMessage() for it in caplog.records if "Measured:" in it.getMessage()]

    def points() -> int:
        told = kept()
        return len(told.metrics[0].points) if told and told.metrics else 0

    await until(lambda: len(said()) > 2 and points() > 1)  # it is kept beside, and later than it is said
    work.cancel()
    line = said()[1]
    assert line.startswith(
        "step_10: the canary has 10 % of the traffic. Measured: error rate 0 % over 1,000 requests, limit 1 %"
    )
    assert "Still missing: share of requests over 0.5 s: 1,000 requests, at least 5000 are needed." in line
    assert line.endswith(" s left.")
    told = kept()
    assert told is not None
    assert (told.step, told.weight, told.environment) == ("step_10", 10, "production")
    assert told.latest is not None
    assert told.latest > told.at
    errors, slow = told.metrics
    assert (errors.metric, errors.unit, errors.value, errors.stable, errors.limit) == ("errors", "share", 0, 0, 0.01)
    assert (errors.judgement, errors.missing, len(errors.points) > 1) == ("pass", None, True)
    assert slow.missing == "share of requests over 0.5 s: 1,000 requests, at least 5000 are needed"
    assert [(it.track, it.weight, it.ready, it.wanted) for it in told.tracks] == [
        ("stable", 90, 2, 2),
        ("canary", 10, 1, 1),
    ]
    assert told.seen_at is not None
    assert told.began_at is not None
    assert told.began_at <= told.seen_at <= told.at


def test_what_an_earlier_version_told_is_read_and_what_it_reads_has_nothing_new() -> None:
    old = looked().model_dump_json(context={"earlier": True})
    assert (
        not {"metrics", "tracks", "seen_at", "began_at", "paused_at", "opens_at", "closes_at"} & json.loads(old).keys()
    )
    assert Progress.model_validate_json(old) == looked()


async def test_a_look_at_the_platform_is_told_and_judges_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Progress] = []

    async def tell(progress: Progress) -> None:
        told.append(progress)

    judging = SimpleNamespace(measurer=SimpleNamespace(taken=3))
    watch = SimpleNamespace(judging=judging, seen=None, context=SimpleNamespace(tell=tell))
    made: list[int] = []

    def judged(*_: object) -> Progress:
        made.append(judging.measurer.taken)
        return Progress(at=1.0, environment="production", step="step_10", weight=10, traffic="10 %")

    it = Telling(watch, "10 %", SimpleNamespace(holds=False))  # type: ignore[arg-type]
    monkeypatch.setattr(it, "_progress", judged)
    for seen_at, taken in ((None, 3), (5.0, 3), (5.0, 3), (10.0, 3), (10.0, 4)):
        watch.seen = seen_at and (seen_at, Observed())
        judging.measurer.taken = taken
        await it.tell(SimpleNamespace(), 20.0, 30.0)  # type: ignore[arg-type]
    assert made == [3, 4]
    assert [one.seen_at for one in told] == [None, 5.0, 10.0, 10.0]


def test_who_has_the_traffic_is_said_by_its_name() -> None:
    assert has_traffic(stage(name="bake", track="stable", weight=100)) == "stable has 100 % of the replicas"
    assert has_traffic(stage()) == "the canary has 10 % of the traffic"


async def test_a_clock_that_stands_still_is_said(world: World, prometheus: FakePrometheus) -> None:
    begun(world)
    work = asyncio.ensure_future(step(hold=30).run().__anext__())
    await until(lambda: kept() is not None)
    number = command("pause")
    await until(lambda: bool(effect(number)))
    await until(lambda: (told := kept()) is not None and told.latest is None)
    work.cancel()
    told = kept()
    assert told is not None
    assert told.time_left(NOW) == "Its clock stands still: a person has paused it."
    assert told.headline().startswith("step_10: the canary has 10 % of the traffic, paused")


async def test_a_history_that_is_away_holds_no_stage_up(
    world: World, prometheus: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    from release_pipelines.adapters.history import History, HistoryUnavailable

    def away(self: History, some: Any) -> None:
        raise HistoryUnavailable("The history is away.")

    begun(world)
    monkeypatch.setattr(History, "keep_progress", away)
    event = await step(hold=0.2).run().__anext__()
    assert event.payload["verdict"]["judgement"] == "pass"


async def test_the_runs_note_says_it_where_airflow_may_be_asked(
    world: World, prometheus: FakePrometheus, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answers = [(201, {}, b'{"access_token": "t0ken"}'), (200, {}, b"{}")]
    connection = {"conn_type": "http", "host": receiver.url, "login": "robot", "password": "s3cret"}
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", json.dumps(connection))
    begun(world)
    work = asyncio.ensure_future(step(hold=30).run().__anext__())
    await until(lambda: len(receiver.requests) > 1)
    await asyncio.sleep(0.2)  # numbers change, and are no reason for another note
    work.cancel()
    (path, _, asked), (patched, headers, body), *more = receiver.requests
    assert (path, asked) == ("/auth/token", {"username": "robot", "password": "s3cret"})
    assert patched == "/api/v2/dags/release_shop/dagRuns/run?update_mask=note"
    assert headers["authorization"] == "Bearer t0ken"
    assert body["note"].startswith("step_10: the canary has 10 % of the traffic until ")
    assert len(more) <= 1


async def test_a_promotion_takes_the_place_of_the_bake_in_the_note(
    world: World, prometheus: FakePrometheus, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answers = [(200, {}, b"{}")]
    connection = {"conn_type": "http", "host": receiver.url, "password": "t0ken"}
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", json.dumps(connection))
    begun(world)
    work = asyncio.ensure_future(promotion().run().__anext__())
    await until(lambda: bool(receiver.requests))
    await work
    assert receiver.requests[0][2] == {"note": "The new version held: stable takes it over."}


def test_whom_a_run_waits_for_is_its_note(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.answers = [(200, {}, b"{}")]
    connection = {"conn_type": "http", "host": receiver.url, "password": "t0ken"}
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", json.dumps(connection))
    waiting = Waiting(
        task="approval", sentence="Release shop 1.1.0 to production?", who="bob or carol", until="16:00 UTC"
    )
    notes.note_waiting(RELEASE, waiting)
    [(path, headers, body)] = receiver.requests
    assert (path, headers["authorization"]) == (
        "/api/v2/dags/release_shop/dagRuns/run?update_mask=note",
        "Bearer t0ken",
    )
    assert body == {"note": "Waits for bob or carol until 16:00 UTC: Release shop 1.1.0 to production?"}


async def test_without_that_connection_nothing_is_noted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "release_pipelines")
    await notes.note_run(RELEASE, "step_10 begins.")
    assert "has no note" not in caplog.text


def looked(**given: Any) -> Progress:
    found = {
        "at": NOW,
        "environment": "production",
        "step": "bake",
        "weight": 100,
        "traffic": "the canary has 100 % of the traffic",
    }
    return Progress.model_validate({**found, "earliest": NOW + 60, "latest": NOW + 300, "patience": 60, **given})


def test_the_time_left_is_said_in_words() -> None:
    assert looked().time_left(NOW) == "5 min left, or less: from 1 min on."
    assert looked().time_left(NOW + 90) == "3 min 30 s left, or less: as soon as the evidence is good enough."
    assert looked(earliest=NOW + 300).time_left(NOW + 10.2) == "4 min 50 s left."
    late = looked(missing=["queue: the query gave no number"])
    assert late.time_left(NOW + 310) == "Its time is over; what is missing is waited for, 50 s more."
    assert (
        looked(missing=[]).time_left(NOW + 310) == "Its time is over; it holds on until the numbers decide, 50 s more."
    )
    assert looked().headline() == "bake: the canary has 100 % of the traffic until 01:51:40 UTC."
    over = "bake: the canary has 100 % of the traffic; its time is over, it waits for the numbers until 01:52:40 UTC"
    assert looked(at=NOW + 301).headline() == f"{over} at the latest."
    assert looked().evidence() == "Nothing is measured yet."
    assert [lasting(it) for it in (0, 0.25, 59.6, 3600, 7500)] == ["0 s", "250 ms", "1 min", "1 h", "2 h 5 min"]
