"""A wave of a train: its window, the releases of its apps, and whether all of them held."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.airflow.hooks.history import HistoryHook, record
from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.notes import note_now
from release_pipelines.airflow.operator import checked_event, explained
from release_pipelines.airflow.runs import start_run
from release_pipelines.airflow.trains import PARAMETER
from release_pipelines.airflow.windows import goes_on, may_begin, standing_at
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.release_id import dag_of
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.train import GOOD, TrainApp
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.model.window import WindowRule
from release_pipelines.core.trains.runs import run_back, run_of_app
from release_pipelines.features.train.operators._base import TrainOperator, rolled_back_since, settle
from release_pipelines.features.train.triggers import (
    AppFreeTrigger,
    BakeTogetherTrigger,
    RunEndTrigger,
    WaveWindowTrigger,
)
from release_pipelines.spec.frozen import spec_of
from release_pipelines.spec.stages import stages

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.adapters.history import History


class TrainWindowOperator(TrainOperator):
    """Go on while the train's calendars are open for all apps of a wave; else wait for that, deferred.

    :param wave: the wave's number.
    :return: why it may begin, in a sentence.

    Templated: ``release``.
    XCom: return value; ``aborted`` when a person ends the train; ``reason`` when it fails.
    """

    def __init__(self, *, wave: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wave = wave

    def work(self, context: Context) -> Any:
        history = self.history()
        self.stop_if_aborted(history)
        going = [it for it in history.train_apps(self.release) if it.wave == self.wave and it.goes]
        rules = [self._rule(it) for it in going]
        sentence = "nothing of this wave has to be released"
        for rule in rules:
            now = time.time()
            standing = standing_at(rule, now)
            if not may_begin(rule, standing, now):
                words = f"Wave {self.wave}: {goes_on(rule, standing)}"
                self.log.info(words)
                note_now(self.release, words)
                record(HistoryHook().history, "record_event", self.release, "window", words)
                trigger = WaveWindowTrigger(train=self.release, rules=[to_json(it) for it in rules])
                self.defer(trigger=trigger, method_name="woken")
            sentence = standing.sentence
        record(
            HistoryHook().history, "record_event", self.release, "window", f"Wave {self.wave} may begin: {sentence}."
        )
        return sentence

    def woken(self, context: Context, event: dict[str, Any]) -> Any:
        """It is open, or was a moment ago: look again."""
        with explained(context):
            checked_event(event)
        return self.execute(context)

    def _rule(self, app: TrainApp) -> WindowRule:
        tags = spec_of(app.app, self.apps, self.config).app.part("tags", list) or []
        return WindowRule(
            calendars=self.spec.keeps_to,
            app=app.app,
            environment=app.environment,
            tags=tags,
            time_zone=self.spec.time_zone,
        )


class TrainAppOperator(TrainOperator):
    """Release one app of a train by its own DAG, and wait for that, deferred. Started once, however often this task is tried.

    :param app: the app's name.
    :return: what became of it.

    Templated: ``release``.
    XCom: return value; ``aborted`` when a person ends the train; ``reason`` when it fails.
    """

    def __init__(self, *, app: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.app = app
        self.was_free = False

    def work(self, context: Context) -> str:
        history = self.history()
        app = self._mine(history)
        if not app.goes or app.result == "released":
            self.log.info("%s: %s", app.named, app.sentence or app.result)
            return app.result
        if app.run_id is None:
            self.stop_if_aborted(history)
            stop_if_rolled_back(self, history)
            self._wait_for_holder(app)
            app = app.model_copy(update={"run_id": run_of_app(self.release)})
            history.change_train(self.release, self.app, run_id=app.run_id, result="running")
        train = history.release(self.release)
        conf = {
            "version": app.version,
            "requested_by": train.requester,
            "notes": train.notes or None,
            PARAMETER: self.release,
        }
        dag_id, run_id = dag_of(self.app), app.run_id or ""
        if start_run(dag_id, run_id, {key: it for key, it in conf.items() if it is not None}):
            sentence = f"Wave {app.wave}: {app.named} is released by {dag_id}, run {run_id}."
            history.record_event(self.release, "begun", sentence, None, {"app": self.app, "run": run_id})
            note_now(self.release, sentence)
        self.defer(trigger=RunEndTrigger(train=self.release, dag_id=dag_id, run_id=run_id), method_name="ended")
        raise AssertionError("it has been deferred")

    def _mine(self, history: History) -> TrainApp:
        return next(it for it in history.train_apps(self.release) if it.app == self.app)

    def _wait_for_holder(self, app: TrainApp) -> None:
        """Somebody else changes the app now: wait, or stop, as the file says."""
        target = self.target(app)
        lease = PlatformHook(target).call(lambda platform: platform.observe(target)).lease
        if self.was_free or lease is None or not lease.holder or lease.expires_at <= time.time():
            return
        busy = f"{app.app} in {app.environment} is being changed by {lease.holder}"
        if self.spec.when_held == "stop":
            self.became(self.history(), app, "not_started", busy)
            raise AirflowFailException(f"{busy}: this train does not wait (`when_held: stop`).")
        self.log.info("%s. Waiting until that has ended.", busy)
        note_now(self.release, f"{busy}. The train waits until that has ended.")
        self.defer(trigger=AppFreeTrigger(train=self.release, target=to_json(target)), method_name="free")

    def free(self, context: Context, event: dict[str, Any]) -> Any:
        """The other release has ended: the app's own release takes the lease, and waits once more if it has to."""
        with explained(context):
            checked_event(event)
        self.was_free = True
        return self.execute(context)

    def ended(self, context: Context, event: dict[str, Any]) -> str:
        """The app's own release has ended."""
        with explained(context):
            checked_event(event)
            history = self.history()
            result = settle(self, history, self._mine(history), event.get("state"))
            app = self._mine(history)
            sentence = f"{app.named}: {app.sentence or 'it held'}"
            history.record_event(self.release, "ended", sentence, None, {"app": self.app, "result": result})
            if result not in GOOD:
                self.stop_if_aborted(history)
                raise AirflowFailException(sentence)
            return result


class TrainGateOperator(TrainOperator):
    """A wave is done when this train's releases held, and no person has rolled one of the train's apps back since.

    :param wave: the wave's number.
    :return: names of the apps that are done.

    Templated: ``release``.
    XCom: return value; ``aborted`` when a person ends the train; ``reason`` when it fails.
    """

    def __init__(self, *, wave: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wave = wave

    def work(self, context: Context) -> list[str]:
        history = self.history()
        self.stop_if_aborted(history)
        stop_if_rolled_back(self, history)
        done = [it for it in history.train_apps(self.release) if it.wave <= self.wave]
        for it in done:
            if it.result not in GOOD:
                raise AirflowFailException(
                    f"{it.named} has not been released by this train: {it.sentence or it.result}."
                )
        sentence = (
            f"Wave {self.wave} is done: {', '.join(f'{it.named} {it.result}' for it in done if it.wave == self.wave)}."
        )
        history.record_event(self.release, "wave", sentence)
        return [it.app for it in done]


def stop_if_rolled_back(operator: TrainOperator, history: History) -> None:
    """A person who rolls back what the train has released stops the train.

    :raises AirflowFailException: then.
    """
    for it in history.train_apps(operator.release):
        if it.result != "released":
            continue
        back = rolled_back_since(history, it, run_back(operator.release, it.app))
        if back is not None:
            sentence = f"{back.requester or 'somebody'} rolled {it.app} back: {back.reason or 'no reason given'}"
            operator.became(history, it, "moved_on", sentence)
            raise AirflowFailException(f"{sentence}.")


class TrainBakeOperator(TrainOperator):
    """Watch all that the train released together, deferred: each app by its own analysis, and any app's verdict counts.

    :return: sentences of the verdicts, by the apps' names.

    Templated: ``release``.
    XCom: return value; ``app``, the one that failed; ``aborted`` when a person ends the train; ``reason`` when it fails.
    """

    def work(self, context: Context) -> Any:
        history = self.history()
        self.stop_if_aborted(history)
        released = [it for it in history.train_apps(self.release) if it.result == "released"]
        if not released:
            return {}
        members = [
            {"target": to_json(self.target(it)), "digest": it.digest, "analysis": to_json(self._analysis(it))}
            for it in released
        ]
        began = next((it.at for it in history.release(self.release).events if it.kind == "baking"), None)
        if began is None:
            began = time.time()
            history.record_event(
                self.release, "baking", f"All of {', '.join(it.named for it in released)} are watched together."
            )
        trigger = BakeTogetherTrigger(train=self.release, members=members, started_at=began, seconds=self.spec.bake)
        self.defer(trigger=trigger, method_name="watched")

    def _analysis(self, app: TrainApp) -> Any:
        """How the app's own bake is judged."""
        judged = [it for it in stages(spec_of(app.app, self.apps, self.config)) if isinstance(it, Stage)]
        return judged[-1].analysis

    def watched(self, context: Context, event: dict[str, Any]) -> dict[str, str]:
        """The time is over, or one of them failed."""
        with explained(context):
            checked_event(event)
            history = self.history()
            apps = {it.app: it for it in history.train_apps(self.release)}
            said = {}
            for told in event["verdicts"]:
                app, verdict = apps[told["app"]], Verdict.model_validate(told["verdict"])
                release = history.release_of_run(dag_of(app.app), app.run_id or "")
                samples = [Sample.model_validate(it) for it in told["samples"]]
                if release is not None:
                    record(HistoryHook().history, "record_verdict", release.id, app.environment, verdict, samples)
                said[app.app] = verdict.sentence
            if event["failed"]:
                context["ti"].xcom_push("app", event["failed"]["app"])
                stop_if_rolled_back(self, history)
                raise AirflowFailException(f"In the shared bake: {event['failed']['sentence']}.")
            return said
