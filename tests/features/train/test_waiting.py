"""What a train waits for: every wait keeps its apps, outlives a restart, and hears of a person who aborts the train."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.history import History
from release_pipelines.airflow import commands as controls
from release_pipelines.airflow import runs
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.person import Identity
from release_pipelines.core.model.train import TrainApp
from release_pipelines.features.train import triggers
from release_pipelines.features.train.operators import _base

TRAIN, RUN = "train_weekly/r#0", "train_weekly.r"
CHILD = f"release_cart/{RUN}#0"


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """A train that has started cart's release, of which Airflow says nothing."""
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f'{{"conn_type": "sqlite", "host": "{tmp_path}/history.db"}}')
    monkeypatch.setattr(triggers, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(controls, "LOOK_SECONDS", 0.02)

    async def running(dag_id: str, run_id: str) -> str:
        return "running"

    monkeypatch.setattr(runs, "state_of", running)
    made = HistoryHook().history()
    made.begin(TRAIN, "train_weekly", "train_weekly", "r", "cart 2.1.0", "alice")
    made.begin(CHILD, "cart", "release_cart", RUN, "2.1.0", "alice")
    return made


def waiting(trigger: triggers.TrainTrigger, *steps: Any) -> dict[str, Any]:
    """The event of a trigger that an earlier triggerer has begun, while one thing after the other happens.

    A step that gives False cannot be done yet, and is tried again.
    """

    async def all_of_it() -> dict[str, Any]:
        again = type(trigger)(**trigger.serialize()[1])
        waits = asyncio.create_task(anext(aiter(again.run())))
        for step in steps:
            await asyncio.sleep(0.15)
            assert not waits.done(), waits.result().payload
            async with asyncio.timeout(20):
                while step() is False:  # noqa: ASYNC110 - the history tells nobody
                    await asyncio.sleep(0.02)
        return dict((await asyncio.wait_for(waits, 20)).payload)

    return asyncio.run(all_of_it())


def test_a_run_has_ended_when_the_history_knows_its_outcome(history: History) -> None:
    trigger = triggers.RunEndTrigger(train=TRAIN, dag_id="release_cart", run_id=RUN)
    event = waiting(trigger, lambda: history.finish(CHILD, "released", "Released 2.1.0."))
    assert event == {"state": None, "dag_id": "release_cart", "run_id": RUN}


@pytest.mark.parametrize("state", ["failed", None])
def test_a_run_that_ended_without_an_outcome_or_is_gone_is_waited_for_no_longer(
    history: History, monkeypatch: pytest.MonkeyPatch, state: str | None
) -> None:
    async def ended(dag_id: str, run_id: str) -> str | None:
        return state

    monkeypatch.setattr(runs, "state_of", ended)
    assert waiting(triggers.RunEndTrigger(train=TRAIN, dag_id="release_cart", run_id=RUN))["state"] == state


def test_an_abort_of_the_train_is_passed_on_once_and_the_run_is_waited_for(history: History) -> None:
    trigger = triggers.RunEndTrigger(train=TRAIN, dag_id="release_cart", run_id=RUN)
    seen: list[Any] = []

    def answered() -> bool:
        for it in history.commands(CHILD):
            history.answer(it.id, "All traffic is back.")
        return any(it.effect for it in history.commands(TRAIN))  # the train has passed it on, and said so

    event = waiting(
        trigger,
        lambda: history.command(TRAIN, "abort", "bob", "wrong price list"),
        answered,
        lambda: seen.extend(history.commands(CHILD)),
        lambda: history.finish(CHILD, "aborted", "Aborted 2.1.0."),
    )
    assert event["state"] is None
    [passed] = seen
    assert (passed.kind, passed.by, passed.reason) == ("abort", "bob", "wrong price list")
    [own] = history.commands(TRAIN)
    assert own.effect == "The train stops; cart is told to abort, and is waited for."


def test_an_abort_ends_other_waits(history: History) -> None:
    other = "train_other/r#0"
    history.begin(other, "train_other", "train_other", "r", "cart", "alice")
    history.hold_apps(other, [TrainApp(app="cart", environment="production", wave=1)])
    trigger = triggers.AppsFreeTrigger(train=TRAIN, places=[["cart", "production"]])
    event = waiting(trigger, lambda: history.command(TRAIN, "abort", "bob", "wrong price list"))
    assert event == {"aborted": {"by": "bob", "reason": "wrong price list"}}
    [own] = history.commands(TRAIN)
    assert own.effect == "The train stops; nothing more of it is begun."


def test_a_train_that_waits_keeps_its_apps(history: History) -> None:
    cart = TrainApp(app="cart", environment="production", wave=1)
    history.at(history._now() - 3000).hold_apps(TRAIN, [cart])
    later = history.at(history._now() + 1000)
    assert later.train_of("cart", "production") is None, "an hour has passed"
    waiting(
        triggers.RunEndTrigger(train=TRAIN, dag_id="release_cart", run_id=RUN),
        lambda: history.finish(CHILD, "released", "Released 2.1.0."),
    )
    assert later.train_of("cart", "production") == TRAIN


@pytest.mark.parametrize(
    ("outcome", "digest", "result"),
    [
        ("released", "sha256:" + "b" * 64, "released"),
        ("released", "sha256:" + "c" * 64, "moved_on"),
        ("no_op", "sha256:" + "b" * 64, "no_op"),
        ("rolled_back", "sha256:" + "b" * 64, "failed"),
        ("rejected", "sha256:" + "b" * 64, "failed"),
        ("superseded", "sha256:" + "b" * 64, "moved_on"),
        ("rollback_failed", "sha256:" + "b" * 64, "not_taken_back"),
    ],
)
def test_held_is_only_what_this_train_wanted_to_release(
    history: History, outcome: Any, digest: str, result: str
) -> None:
    history.finish(CHILD, outcome, "It ended.")
    release = history.release_of_run("release_cart", RUN)
    assert release is not None
    release = release.model_copy(update={"digest": digest})
    app = TrainApp(app="cart", environment="production", wave=1, version="2.1.0", digest="sha256:" + "b" * 64)
    assert _base.came_to(app, release)[0] == result


def test_the_first_answer_to_the_form_is_kept_with_both_names_of_who_gave_it(history: History) -> None:
    history.plan_train(TRAIN, "cart 2.1.0", [TrainApp(app="cart", environment="production", wave=1)])
    history.approve_train(TRAIN, ["cart"], Identity("8", "carol"))
    [app] = history.train_apps(TRAIN)
    assert (app.approver_id, app.approver) == ("8", "carol")
