"""The end of a train: what goes back, what is announced, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from release_pipelines.airflow.assets import HELD, announce
from release_pipelines.airflow.ending import noted, tell_all
from release_pipelines.airflow.hooks.history import HistoryHook, record
from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.notes import note_now
from release_pipelines.airflow.operator import ABORTED, REASON, explained
from release_pipelines.airflow.runs import start_run
from release_pipelines.airflow.task_states import task_states
from release_pipelines.core.model.release_id import ROLLBACK_DAG, dag_of
from release_pipelines.core.model.train import TrainApp
from release_pipelines.core.text import storable
from release_pipelines.core.trains.compensation import next_step, way_back
from release_pipelines.core.trains.outcome import TrainFacts, train_outcome
from release_pipelines.core.trains.report import TRAIN_REPORT, train_report, what_to_do
from release_pipelines.core.trains.runs import run_back
from release_pipelines.features.train.operators._base import TrainOperator, rolled_back_since, settle
from release_pipelines.features.train.triggers import RunEndTrigger
from release_pipelines.spec.frozen import spec_of
from release_pipelines.spec.target import target as target_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.adapters.history import History
    from release_pipelines.core.model.observation import Observed

FAILED = ("failed", "upstream_failed")


def first_failed(states: Mapping[str, str | None]) -> str | None:
    """The first task that failed by itself, in the order in which they work."""
    return next((task for task, state in states.items() if state == "failed"), None)


class TrainTakeBackOperator(TrainOperator):
    """Take back what a train that stopped has released, one app after the other, each by the DAG `release_rollback`. Deferred meanwhile.

    It knows nothing but the history: tried again, it goes on where it was. Skipped where the train did not stop.

    :param tasks: ids of the train's tasks in the order in which they work, to the number of their wave (None: none).
    :return: names of the apps to what became of them.

    Templated: ``release``.
    XCom: return value; ``reason`` when it fails.
    """

    def __init__(self, *, tasks: Mapping[str, int | None], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tasks = dict(tasks)

    def work(self, context: Context) -> dict[str, str]:
        states = task_states(context, list(self.tasks))
        history = self.history()
        failed = first_failed(states)
        if failed is None or not history.train_apps(self.release):
            raise AirflowSkipException("The train did not stop.")
        for it in history.train_apps(self.release):
            if it.result == "running":  # its task ended from outside: what it started goes on, and may hold yet
                self._wait(dag_of(it.app), it.run_id or "", "settled")
        why = str(context["ti"].xcom_pull(task_ids=failed, key=REASON) or f"{failed} was ended from outside").rstrip(
            "."
        )
        self._go_back(context, history, self._stopped_in(context, history, failed), why)
        apps = history.train_apps(self.release)
        lost = [it for it in apps if it.result == "not_taken_back"]
        if lost:
            raise AirflowFailException(
                " ".join(f"{it.app} failed to go back: {it.sentence.rstrip('.')}." for it in lost)
            )
        return {it.app: it.result for it in apps}

    def _stopped_in(self, context: Context, history: History, failed: str) -> int | None:
        """The wave in which it stopped; in the shared bake that of the app that failed."""
        app = context["ti"].xcom_pull(task_ids=failed, key="app")
        by_app = next((it.wave for it in history.train_apps(self.release) if app and it.app == app), None)
        return by_app or self.tasks[failed]

    def _go_back(self, context: Context, history: History, stopped_in: int | None, why: str) -> None:
        while True:
            apps = history.train_apps(self.release)
            order = [it.app for it in way_back(apps, self.spec.compensate, stopped_in)]
            step = next_step(apps, order, self.spec.needs)
            if step is None:
                return
            if step.because_of:
                names = ", ".join(it.named for it in step.because_of)
                self.became(history, step.app, "stays", f"{names} needs it, and stays")
                continue
            self._take_back(context, history, step.app, why)

    def _take_back(self, context: Context, history: History, app: TrainApp, why: str) -> None:
        """Start its rollback, unless somebody else has moved it, or there is nothing to go back to; then wait, deferred."""
        run_id = run_back(self.release, app.app)
        if history.release_of_run(ROLLBACK_DAG, run_id) is None:  # not begun
            stable = self._observed(app).track("stable")
            if stable.digest != app.digest:
                by = rolled_back_since(history, app, run_id)
                later = by or next(iter(history.later_releases(app.app, app.held_at or 0)), None)
                who = f" ({later.id}, by {later.requester or 'nobody'})" if later else ""
                return self.became(history, app, "moved_on", f"it runs {stable.named} now{who}, and is left alone")
            if app.before_digest is None:
                return self.became(history, app, "not_taken_back", "it ran nothing before that it could go back to")
        conf = {
            "app": app.app,
            "environment": app.environment,
            "version": app.before_version,
            "reason": f"train {self.spec.name} stopped: {why}"[:500],
            "requested_by": f"train {self.spec.name}",
        }
        if start_run(ROLLBACK_DAG, run_id, {key: it for key, it in conf.items() if it is not None}):
            sentence = f"{app.app} goes back to {app.before_version}, since the train stopped: {why}."
            history.record_event(self.release, "taking_back", sentence, None, {"app": app.app, "run": run_id})
            note_now(self.release, sentence)
        self._wait(ROLLBACK_DAG, run_id, "back")

    def _wait(self, dag_id: str, run_id: str, then: str) -> None:
        self.defer(trigger=RunEndTrigger(train=self.release, dag_id=dag_id, run_id=run_id), method_name=then)

    def _observed(self, app: TrainApp) -> Observed:
        target = self.target(app)
        return PlatformHook(target).call(lambda platform: platform.observe(target))

    def settled(self, context: Context, event: dict[str, Any]) -> Any:
        """A release that outlived its task has ended."""
        with explained(context):
            history = self.history()
            app = next(it for it in history.train_apps(self.release) if dag_of(it.app) == event["dag_id"])
            settle(self, history, app, event["state"])
        return self.execute(context)

    def back(self, context: Context, event: dict[str, Any]) -> Any:
        """A rollback has ended: look what serves, and go on with the next app."""
        with explained(context):
            history, run_id = self.history(), event["run_id"]
            app = next(it for it in history.train_apps(self.release) if run_back(self.release, it.app) == run_id)
            observed, rolled = self._observed(app), history.release_of_run(ROLLBACK_DAG, run_id)
            stable = observed.track("stable")
            if stable.digest == app.before_digest and stable.ready > 0 and observed.stable_alone:
                self.became(history, app, "taken_back", f"it runs {app.before_version or stable.named} again")
            elif stable.digest not in (app.digest, app.before_digest):
                self.became(history, app, "moved_on", f"it runs {stable.named} now, and is left alone")
            else:
                said = context["ti"].xcom_pull(dag_id=ROLLBACK_DAG, task_ids="outcome", key=REASON, run_id=run_id) or (
                    rolled.sentence if rolled else None
                )
                why = str(said or f"its rollback ended as {event.get('state')}")
                self.became(history, app, "not_taken_back", f"{why} (run {run_id} of {ROLLBACK_DAG})")
            history.record_event(self.release, "back", f"{app.app}: its way back has ended.", None, {"app": app.app})
        return self.execute(context)


class TrainAnnounceOperator(TrainOperator):
    """Add the asset events of what a train has released, now that nothing takes it back any more.

    :return: names of the apps.

    Templated: ``release``.
    XCom: return value; ``reason`` when it fails.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"outlets": [HELD], **kwargs})

    def work(self, context: Context) -> list[str]:
        history = self.history()
        stay = [it for it in history.train_apps(self.release) if it.result in ("released", "stays")]
        for it in stay:
            release = history.release_of_run(dag_of(it.app), it.run_id or "")
            if release is not None and it.version:
                announce(context, release.id, it.app, it.environment, it.version, it.digest)
        return [it.app for it in stay]


class RecordTrainOperator(TrainOperator):
    """Record what a train came to, give its apps free, attach its report, and tell people; the run fails unless all went well.

    Meant as a teardown that decides over the run.

    :param tasks: ids of the train's tasks, in the order in which they work.
    :param approval: id of the approval.
    :param preflight: id of the preflight.
    :return: ``{"outcome", "sentence", "apps"}``; ``outcome`` and ``reason`` are pushed too, because a failing task returns nothing.

    Templated: ``release``.
    XCom: return value, ``outcome``, ``reason``, ``apps``.
    """

    def __init__(self, *, tasks: list[str], approval: str, preflight: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tasks = tasks
        self.approval = approval
        self.preflight = preflight

    def work(self, context: Context) -> dict[str, Any]:
        train = context["ti"].xcom_pull(task_ids=self.preflight, key="release") or self.release
        history = self.history()
        apps = history.train_apps(train)
        outcome, sentence = train_outcome(self._facts(context, apps))
        record(HistoryHook().history, "finish", train, outcome, sentence)
        history.end_holds(train)
        told = [{"app": it.app, "version": it.version, "result": it.result, "sentence": it.sentence} for it in apps]
        for key, value in (("outcome", outcome), (REASON, sentence), ("apps", told)):
            context["ti"].xcom_push(key, storable(value))
        with noted("The commands that came too late could not be answered"):
            for command in history.commands(train, open_only=True):
                history.answer(command.id, f"Came too late: the train has ended ({outcome}).")
        self._tell(context, history, train, apps)
        if outcome not in ("released", "no_op"):
            raise AirflowFailException(sentence)
        self.log.info(sentence)
        return {"outcome": outcome, "sentence": sentence, "apps": told}

    def _facts(self, context: Context, apps: list[TrainApp]) -> TrainFacts:
        ti, states = context["ti"], task_states(context, self.tasks)
        failed = first_failed(states)
        reason = ti.xcom_pull(task_ids=failed, key=REASON) if failed else None
        if failed and reason is None:
            reason = f"{failed} was ended from outside (by a person, or its process died)"
        aborted = ti.xcom_pull(task_ids=failed, key=ABORTED) if failed else None
        going = any(it.goes for it in apps)
        unfinished = failed is None and going and any(state != "success" for state in states.values())
        return TrainFacts(
            name=self.spec.name,
            apps=apps,
            reason=str(reason) if reason else None,
            decision=ti.xcom_pull(task_ids=self.approval, key="decision"),
            aborted=bool(aborted) or unfinished or (not apps and failed is None),
        )

    def _tell(self, context: Context, history: History, train: str, apps: list[TrainApp]) -> None:
        """Attach the report, and tell those who hear of the last environments of the train's apps."""
        detail = history.release(train)
        report, steps = train_report(self.spec.name, detail, apps), what_to_do(apps)
        with noted("The report could not be kept"):
            history.attach(train, TRAIN_REPORT, "text/markdown", report)
        told = set()
        for app in [it.app for it in apps if it.goes] or self.spec.all_apps[:1]:
            with noted(f"Nobody could be told who hears of {app}"):
                spec = spec_of(app, self.apps, self.config)
                if spec.production.name not in told:
                    told.add(spec.production.name)
                    target = target_of(spec, spec.production.name)
                    tell_all(context, history.release(train), target, spec.production, steps=steps, report=report)
