"""One stage of a strategy as one task: traffic for the new version, and a verdict about it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.airflow.ending import alarm, ask, noted, task_url
from release_pipelines.airflow.hooks.history import HistoryHook, record
from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.notes import note_waiting
from release_pipelines.airflow.operator import (
    REASON,
    RUN,
    TROUBLE,
    ReleaseOperator,
    as_value,
    checked_event,
    checked_lease,
    explained,
    recorded_verdict,
)
from release_pipelines.airflow.windows import WINDOW_CLOSED, kept_to
from release_pipelines.core.approvers import in_words
from release_pipelines.core.capacity import capacity_of, fitted
from release_pipelines.core.errors import PlatformError, TrafficStuck
from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.hold import Hold
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.notice import Waiting
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.traffic import share_with
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.model.window import WindowRule
from release_pipelines.core.text import one_line
from release_pipelines.features.stage.triggers import StageTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.spec.environment import EnvironmentSpec

REMIND_SECONDS = 4 * 3600.0
"""Time from one notice of a stage that waits for a person to the next, in seconds."""
WAITS = "waits"
"""Kind of the event of a stage that waits for a person."""


class StageOperator(ReleaseOperator):
    """Give the new version its traffic, or its share of the replicas, and judge it for a while. Holds no worker slot.

    A failing verdict, and a person who aborts, take the traffic back before Airflow hears of it (R4), and then fail the task.

    :param target: the app in its environment: a :class:`~release_pipelines.core.model.target.Target` or its dict.
    :param artifact: the artifact that is released.
    :param lease: the lease, from :class:`~release_pipelines.features.lease.operators.TakeLeaseOperator`.
    :param deployment: what the deploying task returned. After a first release (R17) nothing can be split: a stage succeeds at
        once, and the last one watches stable.
    :param stage: the :class:`~release_pipelines.core.model.stage.Stage` or its dict.
    :param release: the release's id.
    :param environment: the environment's settings, which say who is called when a way back does not get through; None: nobody.
    :param window: the :class:`~release_pipelines.core.model.window.WindowRule` that the release keeps to while it goes on, or its dict; None: to none.
    :param overridden: why an urgent release does not keep to it; empty: it does.
    :return: the :class:`~release_pipelines.core.model.verdict.Verdict` as a dict; also pushed as ``verdict``, on failure too.
        ``aborted`` (``{"by", "reason"}``) is pushed when a person ended it.

    Templated: ``artifact``, ``lease``, ``deployment``, ``release``, ``overridden``.
    XCom: return value, ``verdict``; ``aborted`` when a person ends the release; ``reason`` when it fails.
    """

    template_fields = ("artifact", "lease", "deployment", "release", "overridden")

    def __init__(
        self,
        *,
        target: Target | dict[str, Any],
        artifact: Any,
        lease: Any,
        deployment: Any,
        stage: Stage | dict[str, Any],
        release: str = RUN,
        environment: EnvironmentSpec | None = None,
        window: WindowRule | dict[str, Any] | None = None,
        overridden: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.artifact = artifact
        self.lease = lease
        self.deployment = deployment
        self.stage = stage
        self.release = release
        self.environment = environment
        self.window = window
        self.overridden = overridden

    def work(self, context: Context) -> Any:
        told = self.environment is not None
        return self._begin(calls_people=told, tell_at=0.0 if told else None)

    def _begin(self, *, calls_people: bool, tell_at: float | None) -> Any:
        deployment, stage = as_value(Deployment, self.deployment, "deployment"), as_value(Stage, self.stage, "stage")
        if deployment.first and not stage.last:
            self.log.info("First release: it has all traffic already, there is nothing to split.")
            return None
        if deployment.first:
            stage = stage.model_copy(update={"track": "stable", "traffic": None, "share": 100})
        target, lease = as_value(Target, self.target, "target"), as_value(Lease, self.lease, "lease")
        artifact = as_value(Artifact, self.artifact, "artifact")
        observed = checked_lease(PlatformHook(target).call(lambda platform: platform.observe(target)), lease, target)
        stable = stable_replicas(observed, deployment)
        stage = fitted(stage, target, stable)
        trigger = StageTrigger(
            target=to_json(target),
            release=self.release,
            artifact=to_json(artifact),
            fence=lease.fence,
            stage=to_json(stage),
            replicas=capacity_of(stage, target, stable),
            previous=to_json(deployment.good) if deployment.good else None,
            calls_people=calls_people,
            tell_at=tell_at,
            stable_replicas=deployment.stable_replicas,
            window=kept_to(self.window, self.overridden),
        )
        try:
            PlatformHook(target).call(trigger.begin)
        except (PlatformError, TimeoutError) as error:  # the trigger does it, and says what stands in the way
            self.log.info("The stage begins in the triggerer: %s", error)
        self.defer(trigger=trigger, method_name="decided")

    def decided(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """The stage has ended, and the traffic follows its verdict already: record, and tell Airflow."""
        with explained(context):
            if event.get("kind") == TrafficStuck.__name__:
                alarm(context, self.release, as_value(Target, self.target, "target"), self.environment, event["error"])
                begun: dict[str, Any] = self._begin(calls_people=False, tell_at=0.0)
                return begun
            if event.get("waits"):
                return self._tell(context, event)  # type: ignore[no-any-return]
            if not event.get("verdict"):
                return checked_event(event)
            target, artifact = as_value(Target, self.target, "target"), as_value(Artifact, self.artifact, "artifact")
            verdict = recorded_verdict(context, event, self.release, target, artifact)
            if verdict.judgement != "pass" and not self._goes_on(verdict):
                from release_pipelines.core.progression.closing import is_closed_verdict

                if is_closed_verdict(verdict):  # that is not the version's fault
                    context["ti"].xcom_push(TROUBLE, WINDOW_CLOSED)
                context["ti"].xcom_push(REASON, verdict.sentence)
                raise AirflowFailException(verdict.sentence)
            self.log.info(verdict.sentence)
            return to_json(verdict)

    def _tell(self, context: Context, event: dict[str, Any]) -> Any:
        """Tell people that one of them is waited for, and wait on; they are reminded after a while."""
        target, stage = as_value(Target, self.target, "target"), as_value(Stage, self.stage, "stage")
        task: str = context["ti"].task_id
        sentence = (
            f"{stage.name} waits for a person: {one_line(event['waits'])}. Skip it to go on, abort it to go back."
        )
        for note in event.get("notes") or []:
            record(HistoryHook().history, "record_event", self.release, "drift", note, target.environment)
        waiting = Waiting(
            task=task, sentence=sentence, who=self._who(), url=task_url(context), reminder=self._was_told(task)
        )
        note_waiting(self.release, waiting)
        ask(context, self.release, target, self.environment, waiting)
        about = (WAITS, sentence, target.environment, {"task": task})
        record(HistoryHook().history, "record_event", self.release, *about)
        return self._begin(calls_people=True, tell_at=time.time() + REMIND_SECONDS)

    def _who(self) -> str:
        return in_words(self.environment.approvers if self.environment else [], "a person")

    def _was_told(self, task: str) -> bool:
        with noted("The history does not tell whether people were told already"):
            events = HistoryHook().history().release(self.release).events
            return any(it.kind == WAITS and it.data == {"task": task} for it in events)
        return False

    def _goes_on(self, verdict: Verdict) -> bool:
        from release_pipelines.core.verdicts import action

        return action(as_value(Stage, self.stage, "stage").analysis, verdict) == "go_on"


def stable_replicas(observed: Observed, deployment: Deployment) -> int:
    """Replicas of stable, by which capacity is measured: as before the release, or more where its load has grown since."""
    return max(1, observed.track("stable").wanted, deployment.stable_replicas or 0)


class CanaryStepOperator(StageOperator):
    """Give the canary its share of the traffic and judge it for a while.

    :param weight: percent of the traffic.
    :param hold: seconds that the canary is watched at that weight, or ``{"min", "max"}``: it ends early when the evidence is
        good enough.
    :param analysis: an :class:`~release_pipelines.core.model.analysis.Analysis` or its dict.
    :param on_drift: what to do when somebody else changes the weights: ``reassert`` or ``abort`` (R14).
    :param auto_rollback: False: a failing verdict returns the traffic, then waits for a person (R18).

    Other parameters, XCom and errors as :class:`~release_pipelines.features.stage.operators.StageOperator`.

    Templated: ``artifact``, ``lease``, ``deployment``, ``release``, ``overridden``.
    XCom: return value, ``verdict``; ``aborted`` when a person ends the release; ``reason`` when it fails.
    """

    last = False

    def __init__(
        self,
        *,
        task_id: str,
        weight: int,
        hold: float | dict[str, float] | Hold,
        analysis: Analysis | dict[str, Any],
        on_drift: Literal["reassert", "abort"] = "reassert",
        auto_rollback: bool = True,
        **kwargs: Any,
    ) -> None:
        stage = Stage(
            name=task_id.rsplit(".", 1)[-1],
            track="canary",
            traffic=share_with("canary", weight),
            hold=Hold.model_validate(hold),
            analysis=Analysis.model_validate(analysis),
            on_drift=on_drift,
            wait_for_person=not auto_rollback,
            last=self.last,
        )
        super().__init__(task_id=task_id, stage=stage, **kwargs)


class BakeOperator(CanaryStepOperator):
    """Give the canary all traffic and watch it: the last check before promotion, while a rollback is one write (R18).

    :param hold: seconds that it is watched, or ``{"min", "max"}``.

    Other parameters, XCom and errors as :class:`CanaryStepOperator`. After a first release it watches stable.

    Templated: ``artifact``, ``lease``, ``deployment``, ``release``, ``overridden``.
    XCom: return value, ``verdict``; ``aborted`` when a person ends the release; ``reason`` when it fails.
    """

    last = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(weight=100, **kwargs)
