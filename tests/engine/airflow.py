"""Airflow's part of a release in production: tasks in their order, and triggers that a triggerer runs and starts again."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException, TaskDeferred

from release_pipelines.airflow.forms import TRIES, TRY_SECONDS
from release_pipelines.core.capacity import capacity_of
from release_pipelines.core.model.stage import Check, Stage
from release_pipelines.core.model.target import Target
from release_pipelines.features.approval.operators import StepApprovalOperator
from release_pipelines.features.checks.operators import CheckOperator, PreviewTestOperator
from release_pipelines.features.deployment.operators import (
    CanaryDeployOperator,
    PreviewDeployOperator,
    RollingDeployOperator,
)
from release_pipelines.features.lease.operators import GiveBackLeaseOperator, HoldLeaseOperator, TakeLeaseOperator
from release_pipelines.features.outcome.decision import Abort, Facts, outcome_of
from release_pipelines.features.promotion.operators import PromoteOperator
from release_pipelines.features.rollback.operators.planned import (
    RollbackCleanupOperator,
    RollbackPlanOperator,
    RollbackPrepareOperator,
    RollbackSwitchOperator,
    RollbackVerifyOperator,
)
from release_pipelines.features.stage.operators import StageOperator
from release_pipelines.spec.release import ReleaseSpec
from release_pipelines.spec.stages import retire_after, stages
from tests.engine.outside import Killed, Outside, People, Triggerer
from tests.engine.virtual import VirtualLoop
from tests.fakes import artifact

RELEASE = "release_shop/run#0"
BETWEEN_TASKS = 2.0
"""Seconds that Airflow takes from one task to the next."""

Flow = Generator[Any, Any, Any]


class Ti:
    """A task instance."""

    id = "00000000-0000-0000-0000-000000000000"
    try_number = 1

    def __init__(self, run: Run, task_id: str) -> None:
        self.run = run
        self.task_id = task_id

    def xcom_push(self, key: str, value: Any) -> None:
        self.run.xcom[self.task_id, key] = value

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self.run.xcom.get((task_ids, key))


class Running:
    """A trigger at work, and what is needed to start it again."""

    def __init__(self, trigger: Any) -> None:
        self.kind = type(trigger)
        self.arguments = trigger.serialize()[1]
        self.task: asyncio.Task[Any] | None = None


class Run:
    """One release of 1.1.0 where 1.0.0 runs.

    :param loop: virtual time; the triggerer's loop, and the workers' too.
    :param spec: the app with its strategy.
    :param where: the app in production.
    """

    def __init__(self, loop: VirtualLoop, spec: ReleaseSpec, where: Target, outside: Outside, people: People) -> None:
        self.loop = loop
        self.spec = spec
        self.target = where
        self.outside = outside
        self.people = people
        self.triggerer = Triggerer()
        self.xcom: dict[tuple[str, str], Any] = {}
        self.states: dict[str, str] = {}
        self.order: list[str] = []
        self.outcome: str | None = None
        self.sentence = ""
        self.waits_for: Running | None = None
        self.heartbeat: Running | None = None
        self._flow = self._release()
        self._asleep_until = 0.0
        self._resume(None)

    # --- time ---------------------------------------------------------------------------------------------------

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass, in which triggers work and Airflow goes on."""
        end = self.loop.time() + seconds
        while self.outcome is None and self.loop.time() < end:
            self._start_again()
            self.loop.run_until_complete(asyncio.sleep(min(step, end - self.loop.time())))
            if self.triggerer.dead:
                self.kill()
                continue
            self._go_on()

    def kill(self) -> None:
        """The triggerer dies, and another one starts all that it ran again."""
        self.triggerer.dead = True
        for running in (self.waits_for, self.heartbeat):
            if running and running.task:
                running.task.cancel()
                self.loop.run_until_complete(asyncio.gather(running.task, return_exceptions=True))
                running.task = None
        self.triggerer = Triggerer()

    def _start_again(self) -> None:
        for running in (self.waits_for, self.heartbeat):
            if running and running.task is None:
                trigger = running.kind(**copy.deepcopy(running.arguments))
                running.task = self.loop.create_task(_event(trigger))

    def _go_on(self) -> None:
        if self.heartbeat and self.heartbeat.task and self.heartbeat.task.done():
            self.heartbeat.task.result()
            self.heartbeat = None
        if self.waits_for is None:
            if self.loop.time() >= self._asleep_until:
                self._resume(None)
            return
        task = self.waits_for.task
        if task is not None and task.done():
            self.waits_for = None
            self._resume(task.result())

    def _resume(self, event: Any) -> None:
        try:
            wanted = self._flow.send(event)
        except StopIteration:
            return
        if isinstance(wanted, float):
            self._asleep_until = self.loop.time() + wanted
        else:
            self.waits_for = Running(wanted)

    # --- tasks --------------------------------------------------------------------------------------------------

    def _task(self, kind: Any, task_id: str, **arguments: Any) -> Flow:
        """Run a task to its end, with Airflow's retries; returns whether it succeeded."""
        operator = kind(task_id=task_id, **arguments)
        run = SimpleNamespace(dag_id="release_shop", run_id="run", triggering_user_name="alice")
        context: Any = {"ti": Ti(self, task_id), "dag_run": run, "params": {}}
        self.order.append(task_id)
        for _ in range(TRIES + 1):
            yield BETWEEN_TASKS
            try:
                try:
                    result = operator.execute(context)
                except TaskDeferred as deferred:
                    if isinstance(operator, HoldLeaseOperator):
                        self.heartbeat = Running(deferred.trigger)
                        return True
                    event = yield deferred.trigger
                    result = getattr(operator, deferred.method_name)(context, event, **(deferred.kwargs or {}))
            except AirflowSkipException:
                self.states[task_id] = "skipped"
                return False
            except AirflowFailException:
                self.states[task_id] = "failed"
                return False
            except AirflowException:
                self.states[task_id] = "failed"
                yield TRY_SECONDS
                continue
            self.xcom[task_id, "return_value"] = result
            self.states[task_id] = "success"
            return True
        return False

    def _given(self, task_id: str, key: str = "return_value") -> Any:
        return self.xcom.get((task_id, key))

    def _release(self) -> Flow:
        yield from self._task(TakeLeaseOperator, "take_lease", target=self.target, release=RELEASE)
        lease = self._given("take_lease")
        yield from self._task(HoldLeaseOperator, "hold_lease", target=self.target, lease=lease)
        good = yield from self._until_it_held(
            {"target": self.target, "release": RELEASE, "artifact": artifact(), "lease": lease}
        )
        if good:
            self.states["complete"] = "success"
        else:
            yield from self._rollback()
        yield from self._task(
            GiveBackLeaseOperator,
            "give_back",
            target=self.target,
            release=RELEASE,
            lease=lease,
            deployment=self._given("deploy", "deployment"),
            plan=self._given("plan", "plan"),
            retire_after=retire_after(self.spec),
        )
        while self.heartbeat:
            yield 1.0
        self.outcome, self.sentence = self._came_to()

    def _until_it_held(self, work: dict[str, Any]) -> Flow:
        strategy, all_stages = self.spec.app.strategy, stages(self.spec)
        first = next(it for it in all_stages if isinstance(it, Stage))
        if strategy.canary:
            replicas = capacity_of(first, self.target, 2)
            good = yield from self._task(CanaryDeployOperator, "deploy", replicas=replicas, **work)
        else:
            kind = PreviewDeployOperator if strategy.blue_green else RollingDeployOperator
            good = yield from self._task(kind, "deploy", **work)
        work["deployment"] = self._given("deploy", "deployment")
        if good and strategy.blue_green:
            shown = {"target": self.target, "deployment": work["deployment"]}
            good = yield from self._task(PreviewTestOperator, "preview_test", **shown)
        watched = None
        for stage in all_stages:
            if not good:
                return False
            if isinstance(stage, Stage):
                good, watched = (yield from self._task(StageOperator, stage.name, stage=stage, **work)), stage
            elif isinstance(stage, Check):
                good = yield from self._task(CheckOperator, stage.name, verify=stage.verify, stage=watched, **work)
            else:
                asked = {"approvers": ["bob"], "preflight": {"requester": "alice"}, "wait": 3600.0, "stage": watched}
                good = yield from self._task(StepApprovalOperator, stage.name, **asked, **work)
        if not good:
            return False
        promotion = {
            "return_weights": strategy.canary.return_weights if strategy.canary else [],
            "keep_old": retire_after(self.spec) if strategy.blue_green else 0.0,
            "retire_after": retire_after(self.spec),
        }
        return (yield from self._task(PromoteOperator, "promote", **promotion, **work))

    def _rollback(self) -> Flow:
        good = yield from self._task(
            RollbackPlanOperator,
            "plan",
            target=self.target,
            release=RELEASE,
            deployment=self._given("deploy", "deployment"),
            retire_after=retire_after(self.spec),
        )
        plan = self._given("plan")
        for kind, task_id in (
            (RollbackPrepareOperator, "prepare"),
            (RollbackSwitchOperator, "switch"),
            (RollbackVerifyOperator, "verify"),
            (RollbackCleanupOperator, "clean_up"),
        ):
            if not good:
                return
            good = yield from self._task(kind, task_id, plan=plan)

    def _came_to(self) -> tuple[str, str]:
        """As the task ``outcome`` decides it."""
        failed = next((it for it in self.order if self.states.get(it) == "failed"), None)
        back = next((it for it in ("plan", "prepare", "switch", "verify") if self.states.get(it) == "failed"), None)
        aborted = self._given(failed, "aborted") if failed else None
        states: dict[str, str | None] = {"approval": "success", **self.states}
        return outcome_of(
            Facts(
                version="1.1.0",
                production="production",
                states=states,
                failed_task=failed,
                reason=self._given(failed, "reason") if failed else None,
                returned_to=(self._given("switch") or {}).get("version") or self._given("give_back", "returned"),
                deployed=self._given("deploy", "deployment") is not None,
                promoted=self.people.promoted_at is not None,
                rollback_reason=self._given(back, "reason") if back else None,
                aborted=Abort(**aborted) if aborted else None,
            )
        )


async def _event(trigger: Any) -> Any:
    try:
        return (await anext(aiter(trigger.run()))).payload
    except Killed:
        await asyncio.get_running_loop().create_future()  # dead processes say nothing
