"""A command runs, or a person is asked, and the version goes on being judged."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.triggers.base import TriggerEvent

from release_pipelines.core.errors import PlatformError
from tests.fakes import FakePlatform, FakePrometheus, World
from tests.progression.helpers import again, command, effect, event, released, until, weights
from tests.progression.scenes import LONG, after_a_stage, check, question


@pytest.fixture(params=["check", "question"])
def waits(request: pytest.FixtureRequest, world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A trigger that waits for something else while the canary has 10 %."""

    async def nothing(_: Any) -> None:
        return None

    monkeypatch.setattr(HITLTrigger, "_handle_response", nothing)
    return check(world) if request.param == "check" else question(world)


async def test_a_version_that_turns_bad_ends_the_wait_without_traffic(
    world: World, prometheus: FakePrometheus, waits: Any
) -> None:  # R4
    prometheus.bad = 0.2
    said = await event(waits)
    assert said["verdict"]["judgement"] == "fail"
    assert "error rate 20 %" in said["verdict"]["sentence"]
    assert said["aborted"] is None
    assert world.weight == 0


async def test_a_version_whose_replicas_die_ends_the_wait(world: World, prometheus: FakePrometheus, waits: Any) -> None:
    waiting = asyncio.create_task(event(waits))  # R5
    await until(lambda: "observe" in world.calls)
    world.breaks("canary", "OOMKilled")
    assert (await asyncio.wait_for(waiting, 60))["verdict"]["sentence"] == "OOMKilled"
    assert world.weight == 0


async def test_an_abort_is_told_with_its_name_after_a_restart_too(
    world: World, prometheus: FakePrometheus, waits: Any
) -> None:  # R6
    number = command("abort")
    said = await event(waits)
    assert said["aborted"] == {"by": "bob", "reason": "enough seen"}
    assert effect(number) == "All traffic is back on stable."
    before = len(world.writes)
    assert (await event(again(waits)))["aborted"] == said["aborted"]
    assert len(world.writes) == before


async def test_a_stage_that_was_left_out_is_not_begun_by_who_waits_after_it(
    world: World, prometheus: FakePrometheus
) -> None:  # R5: somebody had everything promoted, so no stage has given it traffic
    released(world, canary=True)
    world.route = None
    asked = check(world)
    waiting = asyncio.create_task(event(asked))
    await until(lambda: "run" in world.calls)
    await asyncio.sleep(0.1)
    assert not weights(world)
    number = command("abort")
    assert (await asyncio.wait_for(waiting, 60))["aborted"]["by"] == "bob"
    assert effect(number) == "Ended the wait; nothing was changed."


async def test_where_a_stage_was_left_out_the_version_is_judged_where_it_is(
    world: World, prometheus: FakePrometheus
) -> None:
    asked = check(world)
    after_a_stage(world, "canary", 5, "step_5")  # and not step_10, which the check follows
    waiting = asyncio.create_task(event(asked))
    await until(lambda: len(prometheus.asked) > 3)
    assert world.weight == 5
    prometheus.bad = 0.2
    said = await asyncio.wait_for(waiting, 60)
    assert (said["verdict"]["step"], said["verdict"]["weight"]) == ("step_5", 5)
    assert weights(world) == [0]


async def test_a_check_that_passes_gives_its_output(world: World, prometheus: FakePrometheus) -> None:
    asked = check(world)
    world.run_seconds = 0.0
    assert await event(asked) == {"output": "1 passed"}
    assert world.weight == 10


async def test_a_check_that_fails_says_so_and_leaves_the_traffic_to_the_rollback(
    world: World, prometheus: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any, **__: Any) -> str:
        raise PlatformError("check ended with 1: no cart")

    monkeypatch.setattr(FakePlatform, "run", fails)
    assert await event(check(world)) == {"error": "check ended with 1: no cart", "kind": "PlatformError"}


async def test_a_check_is_run_again_after_a_restart(world: World, prometheus: FakePrometheus) -> None:  # R6
    asked = check(world)
    first = asyncio.create_task(event(asked))
    await until(lambda: "run" in world.calls)
    first.cancel()
    world.calls.clear()
    world.run_seconds = 0.0
    assert await event(again(asked)) == {"output": "1 passed"}
    assert "run" in world.calls


async def test_an_answer_ends_the_wait_and_the_watching(
    world: World, prometheus: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:  # R10
    answers: list[str] = []

    async def answered(_: Any) -> TriggerEvent | None:
        return TriggerEvent({"chosen_options": answers}) if answers else None

    monkeypatch.setattr(HITLTrigger, "_handle_response", answered)
    waiting = asyncio.create_task(event(question(world, poke_interval=0.02)))
    await until(lambda: len(prometheus.asked) > 3)
    answers.append("Approve")
    assert await asyncio.wait_for(waiting, 60) == {"chosen_options": ["Approve"]}
    assert world.weight == 10


async def test_no_answer_in_time_is_told_as_airflow_tells_it(
    world: World, prometheus: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:  # R10
    async def late(_: Any) -> TriggerEvent:
        return TriggerEvent({"error": "late", "error_type": "timeout"})

    monkeypatch.setattr(HITLTrigger, "_handle_timeout", late)
    over = datetime.now(timezone.utc) - timedelta(seconds=LONG)
    assert await event(question(world, timeout_datetime=over)) == {"error": "late", "error_type": "timeout"}


def refuse(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """Let Airflow's API answer so when the trigger asks for the form."""
    error = ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": status})

    async def refused(_: Any) -> None:
        raise AirflowRuntimeError(error)

    monkeypatch.setattr(HITLTrigger, "_handle_response", refused)


async def test_a_question_without_a_form_asks_for_one(
    world: World, prometheus: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, 404)
    assert await event(question(world)) == {"unasked": True}


async def test_a_question_that_cannot_be_looked_at_fails(
    world: World, prometheus: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, 500)
    with pytest.raises(AirflowRuntimeError):
        await event(question(world))


def test_a_question_is_made_again_from_what_it_serializes(world: World) -> None:  # R6
    asked = question(world)
    path, given = asked.serialize()
    assert path == "release_pipelines.features.approval.triggers.ReleaseApprovalTrigger"
    assert again(asked).serialize()[1] == given
