"""Who may steer a release, what is said of it, and which release is meant."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from release_pipelines.airflow.hooks import platform as hook
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.lease import LEASE_SECONDS, Lease
from release_pipelines.features.commands.operators import AnsweringControlOperator, ReleaseControlOperator
from release_pipelines.features.commands.triggers import RefusedTrigger
from tests.fakes import GOOD, NEW, World, artifact
from tests.features.helpers import Ti
from tests.progression.helpers import released

ENVIRONMENT = """
name: production
platform: container_host
connections: {platform: platform, engine: platform, registry: registry, prometheus: prometheus}
router: {kind: traefik}
address: {url: "http://127.0.0.1:1"}
approvers: [bob, carol]
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The app ``shop``, which goes to production alone."""
    it = World()
    monkeypatch.setattr(hook, "_build", lambda *_: it.platform())
    for name in ("PLATFORM", "REGISTRY"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "generic"}))
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    for folder, file, text in (
        (
            "apps",
            "shop.yaml",
            "name: shop\nenvironments: [production]\nanalysis: {metrics: [{name: own, query: '1', limit: 1}]}\n",
        ),
        ("config", "production.yaml", ENVIRONMENT),
        ("config", "base.yaml", "{}\n"),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / file).write_text(text)
    return it


def begins(run: str) -> str:
    """A release of alice has begun."""
    HistoryHook().history().begin(f"release_shop/{run}#0", "shop", "release_shop", run, "1.1.0", "alice")
    return f"release_shop/{run}#0"


def control(
    folder: Path, action: str, by: str | None = "alice", reason: str = "", app: str = "shop", requested_by: str = ""
) -> Any:
    it = ReleaseControlOperator(
        task_id="control",
        apps=folder / "apps",
        config=folder / "config",
        app=app,
        action=action,
        reason=reason,
        requested_by=requested_by,
        wait=0,
    )
    context: Any = {"ti": Ti(), "dag_run": SimpleNamespace(triggering_user_name=by)}
    return it.execute(context)


def test_a_command_is_recorded_with_the_name_of_who_gave_it(world: World, tmp_path: Path) -> None:
    release = begins("first")
    given = control(tmp_path, "abort", reason="wrong price list")
    assert given["effect"].startswith("Not answered yet")
    [command] = HistoryHook().history().commands(release)
    assert (command.kind, command.by, command.reason) == ("abort", "alice", "wrong price list")


def test_of_two_releases_the_one_that_changes_production_is_meant(world: World, tmp_path: Path) -> None:  # R2
    first, second = begins("first"), begins("second")
    world.lease = Lease(holder=first, fence=1, expires_at=0)
    assert control(tmp_path, "pause")["release"] == first
    assert not HistoryHook().history().commands(second)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"action": "abort"}, "shop: An abort needs a reason"),
        ({"action": "stop"}, "There is no action `stop`"),
        ({"action": "skip", "by": "alice"}, "alice may not skip 1.1.0"),
        ({"action": "pause", "by": None}, "Nobody is named who asks for this"),
        ({"action": "pause", "app": "shopp"}, "There is no app `shopp`: one of shop is expected."),
        ({"action": "pause", "app": ""}, "No app is named: one of shop is expected."),
    ],
)
def test_what_may_not_be_is_refused_in_a_sentence(
    world: World, tmp_path: Path, given: dict[str, Any], why: str
) -> None:  # R10, R12
    release = begins("first")
    with pytest.raises(AirflowFailException, match=why):
        control(tmp_path, **given)
    assert not HistoryHook().history().commands(release)


def test_where_nothing_runs_there_is_nothing_to_steer(world: World, tmp_path: Path) -> None:
    with pytest.raises(AirflowFailException, match="shop: No release is running: there is nothing to pause"):
        control(tmp_path, "pause")


def test_a_named_approver_may_cut_a_hold_short(world: World, tmp_path: Path) -> None:  # R10
    begins("first")
    assert control(tmp_path, "skip", by="bob")["by"] == "bob"


def test_an_abort_that_nobody_hears_says_what_has_not_moved_and_what_moves_it(world: World, tmp_path: Path) -> None:
    release = begins("first")
    released(world, canary=True, weight=50)
    world.runs("stable", artifact("1.0.0", GOOD))
    world.lease = Lease(holder=release, fence=1, expires_at=time.time() + LEASE_SECONDS - 40)
    said = control(tmp_path, "abort", reason="wrong price list")["effect"]
    silent = re.search(r" for (\d+) s, ", said)
    assert silent, said
    assert int(silent[1]) >= 40
    assert said.replace(silent[0], " for 40 s, ") == (
        "Not answered: the release has given no sign of life for 40 s, Airflow's triggerer is away or overloaded. "
        "Nothing has moved: stable has 50 %, canary has 50 % of the traffic. "
        "Until then the traffic stays where it is; the DAG release_rollback moves it now."
    )


def test_a_robot_gives_commands_for_a_person_and_has_no_rights_of_that_person(world: World, tmp_path: Path) -> None:
    release = begins("first")
    assert control(tmp_path, "pause", by="robot", requested_by="bob")["by"] == "bob (started by robot)"
    for robot in ("robot", "alice"):
        with pytest.raises(AirflowFailException, match=f"{robot} may not skip"):
            control(tmp_path, "skip", by=robot, requested_by="bob")
    with pytest.raises(AirflowFailException, match="alice may not skip"):  # who asked for the release
        control(tmp_path, "skip", by="bob", requested_by="alice")
    assert [it.kind for it in HistoryHook().history().commands(release)] == ["pause"]


async def test_a_refusal_in_the_form_ends_its_task_without_a_stack_trace(world: World, tmp_path: Path) -> None:
    asked = AnsweringControlOperator(
        task_id="control", apps=tmp_path / "apps", config=tmp_path / "config", app="shop", action="pause", wait=0
    )
    ti = Ti()
    run = SimpleNamespace(triggering_user_name="alice", dag_id="release_control", run_id="run")
    context: Any = {"ti": ti, "dag_run": run}
    with pytest.raises(TaskDeferred) as deferred:
        asked.execute(context)
    assert ti.pushed["reason"] == "shop: No release is running: there is nothing to pause."
    path, arguments = deferred.value.trigger.serialize()
    assert path == "release_pipelines.features.commands.triggers.RefusedTrigger"
    [event] = [it async for it in RefusedTrigger(**arguments).run()]
    assert event.task_instance_state == "failed"  # type: ignore[attr-defined]


def test_what_a_command_came_to_is_there_for_the_runs_note(world: World, tmp_path: Path) -> None:
    begins("first")
    ti = Ti()
    asked = AnsweringControlOperator(
        task_id="control", apps=tmp_path / "apps", config=tmp_path / "config", app="shop", action="pause", wait=0
    )
    run = SimpleNamespace(triggering_user_name="alice", dag_id="release_control", run_id="run")
    asked.execute({"ti": ti, "dag_run": run})  # type: ignore[typeddict-item]
    assert ti.pushed["reason"].startswith("shop 1.1.0: pause by alice: Not answered yet")


def test_nobody_promotes_behind_the_back_of_whoever_reads_the_form(world: World, tmp_path: Path) -> None:  # R10
    release, history = begins("first"), HistoryHook().history()
    history.record_event(release, "asked", "Asked whether 1.1.0 may go on.")
    with pytest.raises(AirflowFailException, match="waits for its approval, and the form says what will be measured"):
        control(tmp_path, "promote", by="bob")
    assert control(tmp_path, "pause", by="bob")["by"] == "bob"
    history.record_approval(release, NEW, "approved", "carol")
    assert control(tmp_path, "promote", by="bob")["by"] == "bob"
