"""Runs of the real DAGs, task by task in this process: what Airflow does with a release, without its scheduler.

Operators work in threads, triggers in the test's event loop; both speak to the real engine, store, registry and Prometheus. Only
a person's answer to the approval is put into the history directly.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    DownstreamTasksSkipped,
    TaskDeferred,
)

from release_pipelines.airflow.gates import GateOperator
from release_pipelines.airflow.hooks.history import HistoryHook

TRIES = 10
TRY_SECONDS = 1.0
WAY_BACK = [f"rollback.{it}" for it in ("plan", "prepare", "switch", "verify", "clean_up")]


class TaskInstance:
    """What operators see of themselves. What is pushed travels as JSON, as it does through Airflow's database."""

    id = "00000000-0000-0000-0000-000000000000"
    try_number = 1
    map_index = -1

    def __init__(self, run: Run, task_id: str) -> None:
        self.run = run
        self.task_id = task_id
        self.task = run.dag.get_task(task_id)
        self.dag_id, self.run_id = run.dag.dag_id, run.run_id

    def xcom_push(self, key: str, value: Any) -> None:
        self.run.pushed[self.task_id, key] = json.loads(json.dumps(value))

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self.run.pushed.get((task_ids, key))

    def get_task_states(self, dag_id: str, task_ids: list[str], run_ids: list[str]) -> dict[str, dict[str, str]]:
        return {self.run_id: {it: self.run.states[it] for it in task_ids if it in self.run.states}}


class Run:
    """One run of a DAG.

    :param dag: the DAG.
    :param run_id: its id.
    :param user: who triggered it.
    :param params: what the form says.
    """

    def __init__(self, dag: DAG, run_id: str, user: str, **params: Any) -> None:
        self.dag = dag
        self.run_id = run_id
        self.user = user
        self.params = {**{name: dag.params[name] for name in dag.params}, **params}
        self.conf = params
        self.states: dict[str, str] = {}
        self.pushed: dict[tuple[str, str], Any] = {}

    @property
    def id(self) -> str:
        """The release's id."""
        return f"{self.dag.dag_id}/{self.run_id}#0"

    @property
    def outcome(self) -> str:
        """What the run came to, in one word."""
        return str(self.pushed["outcome", "outcome"])

    @property
    def sentence(self) -> str:
        """The same in one sentence."""
        return str(self.pushed["outcome", "reason"])

    def verdict(self, task_id: str) -> dict[str, Any]:
        """The verdict of a stage."""
        found: dict[str, Any] = self.pushed[task_id, "verdict"]
        return found

    def command(self, kind: Any, by: str = "bob", reason: str = "wrong price list") -> None:
        """A person tells the release to do something."""
        HistoryHook().history().command(self.id, kind, by, reason)

    def effects(self) -> dict[str, str | None]:
        """What each command of a person did."""
        return {it.kind: it.effect for it in HistoryHook().history().commands(self.id)}

    async def release(self) -> Run:
        """A release, from preflight to outcome, approved by bob."""
        order = self.dag.get_task("outcome").tasks
        forward = [it for it in order if not it.startswith("rollback.")]
        if await self._forward(forward):
            self.states["complete"] = "success"
        elif "production.take_lease" in self.states:
            await self._each(WAY_BACK)
        await self.task("give_back_lease")
        await self.heartbeat
        await self.task("outcome")
        return self

    async def roll_back(self) -> Run:
        """A person's rollback."""
        await self._each(WAY_BACK)
        await self.task("give_back_lease")
        await self.task("outcome")
        return self

    heartbeat: asyncio.Future[str]

    async def _forward(self, tasks: list[str]) -> bool:
        self.heartbeat = asyncio.get_running_loop().create_future()
        self.heartbeat.set_result("none")
        for task_id in tasks:
            if (task_id, "return_value") in self.pushed:  # given by the test
                self.states[task_id] = "success"
            elif task_id == "approval":
                await asyncio.to_thread(self._approve)
            elif await self.task(task_id) != "success":
                return False
            if task_id == "production.take_lease":
                self.heartbeat = asyncio.create_task(self.task("production.hold_lease"))
        return True

    def _approve(self) -> None:
        digest = self.pushed["artifact", "return_value"]["digest"]
        HistoryHook().history().record_approval(self.id, digest, "approved", "bob")
        self.states["approval"] = "success"

    async def _each(self, tasks: list[str]) -> None:
        for task_id in tasks:
            if await self.task(task_id) not in ("success", "skipped"):
                return
            if self.states[task_id] == "skipped":
                return

    async def task(self, task_id: str) -> str:
        """Run a task to its end; returns its state."""
        operator = self.dag.get_task(task_id)
        assert not isinstance(operator, GateOperator)
        context: Any = {
            "ti": TaskInstance(self, task_id),
            "dag": self.dag,
            "run_id": self.run_id,
            "params": self.params,
            "dag_run": SimpleNamespace(
                dag_id=self.dag.dag_id,
                run_id=self.run_id,
                clear_number=0,
                conf=self.conf,
                triggering_user_name=self.user,
            ),
        }
        self.states[task_id] = "running"
        ExecutorSafeguard.tracker.set(operator)  # as Airflow's own task runner does
        operator.render_template_fields(context)
        work: Callable[[], Any] = partial(operator.execute, context)
        tries = TRIES
        while True:
            try:
                result = await asyncio.to_thread(work)
            except TaskDeferred as deferred:
                self.states[task_id] = "deferred"
                event = await self._event(deferred.trigger)
                work = partial(getattr(operator, deferred.method_name), context, event, **(deferred.kwargs or {}))
            except AirflowSkipException:
                return self._ended(task_id, "skipped")
            except DownstreamTasksSkipped:  # the tasks of these runs are named one by one
                return self._ended(task_id, "success")
            except AirflowFailException:
                return self._ended(task_id, "failed")
            except AirflowException:
                tries -= 1
                if not tries:
                    return self._ended(task_id, "failed")
                await asyncio.sleep(TRY_SECONDS)
                work = partial(operator.execute, context)
            else:
                if result is not None:
                    context["ti"].xcom_push("return_value", result)
                return self._ended(task_id, "success")

    def _ended(self, task_id: str, state: str) -> str:
        self.states[task_id] = state
        return state

    @staticmethod
    async def _event(trigger: Any) -> Any:
        """The one event of the trigger that a triggerer makes of the row in Airflow's database."""
        path, arguments = trigger.serialize()
        module, name = path.rsplit(".", 1)
        made = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))
        [event] = [it async for it in made.run()]
        return event.payload
