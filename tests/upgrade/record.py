"""Records what version 0.1 (commit 17e7f86) leaves behind in the middle of a canary: see ``recorded/README.md``."""

from __future__ import annotations

import json
import os
import sqlite3
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time import supervisor
from airflow.triggers.base import TriggerEvent
from release_pipelines.domain.values import Lease, to_json

from release_pipelines.operators import deploy
from tests.pipeline.conftest import Releases

OUT = Path(os.environ["RECORD_TO"])
STEPS = """
strategy:
  canary:
    steps: [{weight: 10, hold: 200ms}, {verify: {command: [python3, check.py]}}, {approval: {}}, {weight: 50, hold: 200ms}]
    bake: 200ms
    retire_after: 50ms
"""


class Recorder:
    """Writes a folder for each moment that is worth it: the run, the world, the frozen specification, the history."""

    def __init__(self, releases: Releases) -> None:
        self.releases = releases
        self.deferred: dict[str, Any] = {}

    def moment(self, name: str) -> None:
        folder = OUT / name
        if folder.exists():
            return
        folder.mkdir(parents=True)
        world = self.releases.production
        run = {
            "deferred": self.deferred,
            **self._rows(),
            "world": {
                "tracks": {track: to_json(it) for track, it in world.tracks.items()},
                "shares": world.shares,
                "fence": world.fence,
                "lease": to_json(world.lease) if world.lease else None,
                "route": to_json(world.route) if world.route else None,
            },
        }
        self._write(folder / "run.json", json.dumps(run, indent=1))
        state = Path(os.environ["RELEASE_PIPELINES_STATE"])
        for path in state.glob("frozen/*/*.json"):
            self._write(folder / "frozen.json", json.dumps(json.loads(path.read_text()), indent=1))
        self._write(folder / "history.sql", "\n".join(sqlite3.connect(state / "history.db").iterdump()) + "\n")

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text.replace(self.releases.outside.host, "OUTSIDE"))

    def _rows(self) -> dict[str, Any]:
        with sqlite3.connect(Path(os.environ["AIRFLOW_HOME"]) / "airflow.db") as db:
            run_id, conf = db.execute("select run_id, conf from dag_run where dag_id = 'release_shop'").fetchone()
            states = db.execute("select task_id, state from task_instance where run_id = ?", [run_id]).fetchall()
            xcoms = db.execute("select task_id, key, value from xcom where run_id = ?", [run_id]).fetchall()
        ended = {task: state for task, state in states if state in ("success", "skipped")}
        return {"run_id": run_id, "conf": json.loads(conf), "states": ended, "xcoms": xcoms}


def test_record(releases: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, production = Recorder(releases), releases.production
    run_task, run_trigger = supervisor.run_task_in_process, supervisor.InProcessTestSupervisor.run_trigger_in_process

    def task(ti: Any, task: Any) -> Any:
        result = run_task(ti=ti, task=task)
        if type(result.msg).__name__ == "DeferTask":
            msg = result.msg
            recorder.deferred = {
                "task_id": ti.task_id,
                "classpath": msg.classpath,
                "kwargs": msg.trigger_kwargs,
                "next_method": msg.next_method,
                "next_kwargs": msg.next_kwargs,
            }
        return result

    def trigger(*, trigger: Any, ti: Any) -> Any:
        name = type(trigger).__name__
        if name not in ("StageTrigger", "PromoteTrigger") and ti.task_id.startswith("production."):
            recorder.moment(name)
        if name == "HoldLeaseTrigger":
            return TriggerEvent({"given_back": True})
        if name == "ReleaseApprovalTrigger":
            return TriggerEvent(
                {
                    "chosen_options": ["Approve"],
                    "params_input": {},
                    "responded_at": datetime.now(timezone.utc),
                    "responded_by_user": {"id": "bob", "name": "bob"},
                }
            )
        if name == "LeaseFreeTrigger":
            production.lease = None
        return run_trigger(trigger=trigger, ti=ti)

    def after(call: str) -> None:
        now, at = recorder.deferred.get("classpath", ""), production.note.step
        if now.endswith("StageTrigger") and call == "split" and at == "step_50":
            recorder.moment("StageTrigger")
        if now.endswith("PromoteTrigger") and call == "advance":
            recorder.moment("PromoteTrigger")

    answered = HITLOperator.execute

    def ask(operator: Any, context: Any) -> Any:
        if operator.task_id == "approval":
            return answered(operator, context)
        raise TaskAwaitingInput(method_name="execute_complete")

    monkeypatch.setattr(supervisor, "run_task_in_process", task)
    monkeypatch.setattr(supervisor.InProcessTestSupervisor, "run_trigger_in_process", trigger)
    monkeypatch.setattr(HITLOperator, "execute", ask)
    monkeypatch.setattr(deploy, "WORKER_SECONDS", -1.0)
    releases.runs("1.0.0")
    production.after = after
    production.fence = 6
    production.lease = Lease(holder="release_shop/another", fence=6, expires_at=4e9)
    done = releases.dag.test(
        run_conf={"version": "1.1.0", "notes": "cheaper"}, mark_success_pattern=r"staging\.hold_lease|dev\.hold_lease"
    )
    assert str(done.state.value) == "success"
    recorder.moment("ended")


test_record = pytest.mark.parametrize("releases", [STEPS], indirect=True)(test_record)
