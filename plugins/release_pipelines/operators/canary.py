"""A canary's way to production: steps, bake, promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.domain.release import capacity
from release_pipelines.domain.values import (
    Artifact,
    Deployment,
    Lease,
    Observed,
    Sample,
    Target,
    Track,
    Verdict,
    to_json,
)
from release_pipelines.hooks.platform import PlatformHook
from release_pipelines.operators.base import REASON, ReleaseOperator, explained, given, history_of
from release_pipelines.operators.lease import RUN
from release_pipelines.platforms.base import FenceLost
from release_pipelines.spec.analysis import AnalysisSpec
from release_pipelines.triggers.canary import CanaryTrigger
from release_pipelines.triggers.promote import PromoteTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


def _mine(observed: Observed, lease: Lease, target: Target) -> Observed:
    """The observation, if the lease still is this release's.

    :raises FenceLost: otherwise.
    """
    if observed.lease is None or observed.lease.fence != lease.fence:
        raise FenceLost(f"The lease of {target.app} in {target.environment} is not held by this release any more.")
    return observed


class CanaryStepOperator(ReleaseOperator):
    """Give the canary its share of the traffic and judge it for a while. Deferred: holds no worker slot.

    A failing verdict returns all traffic to stable before Airflow hears of it (R4), and then fails the task.

    :param target: the app in its environment: a :class:`~release_pipelines.domain.values.Target` or its dict.
    :param artifact: the artifact on the canary.
    :param lease: the lease, from :class:`~release_pipelines.operators.lease.TakeLeaseOperator`.
    :param deployment: what :class:`~release_pipelines.operators.deploy.CanaryDeployOperator` returned. After a first release
        (its track is ``stable``) there is nothing to split, and the step succeeds at once.
    :param weight: percent of the traffic.
    :param hold: seconds that the canary is watched at that weight.
    :param analysis: an :class:`~release_pipelines.spec.models.AnalysisSpec` or its dict.
    :param release: the release's id.
    :param on_drift: what to do when somebody else changes the weights: ``reassert`` or ``abort`` (R14).
    :param auto_rollback: False: a failing verdict returns the traffic, then waits for a person (R18).
    :return: the :class:`~release_pipelines.domain.values.Verdict` as a dict; also pushed as ``verdict``, on failure too.
    """

    template_fields = ("artifact", "lease", "deployment", "release")

    def __init__(
        self,
        *,
        target: Target | dict[str, Any],
        artifact: Any,
        lease: Any,
        deployment: Any,
        weight: int,
        hold: float,
        analysis: AnalysisSpec | dict[str, Any],
        release: str = RUN,
        on_drift: Literal["reassert", "abort"] = "reassert",
        auto_rollback: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.artifact = artifact
        self.lease = lease
        self.deployment = deployment
        self.weight = weight
        self.hold = hold
        self.analysis = analysis
        self.release = release
        self.on_drift = on_drift
        self.auto_rollback = auto_rollback

    @property
    def step(self) -> str:
        """Name of the step: the last part of the task id."""
        return str(self.task_id).rsplit(".", 1)[-1]

    def work(self, context: Context) -> Any:
        deployment = given(Deployment, self.deployment, "deployment")
        if deployment.track == "stable":
            return self.first_release(context)
        return self.watch("canary", self.weight)

    def first_release(self, context: Context) -> Any:
        """What a step does when nothing ran before."""
        self.log.info("First release: it has all traffic already, there is nothing to split.")

    def watch(self, track: Literal["stable", "canary"], weight: int) -> None:
        """Defer to the trigger."""
        target, lease = given(Target, self.target, "target"), given(Lease, self.lease, "lease")
        artifact = given(Artifact, self.artifact, "artifact")
        observed = _mine(PlatformHook(target).call(lambda platform: platform.observe(target)), lease, target)
        analysis = AnalysisSpec.model_validate(self.analysis)
        self.defer(
            trigger=CanaryTrigger(
                target=to_json(target),
                release=self.release,
                artifact=to_json(artifact),
                fence=lease.fence,
                step=self.step,
                weight=weight,
                replicas=capacity(target, max(1, observed.track("stable").wanted), weight) if weight else 0,
                hold=self.hold,
                analysis=analysis.model_dump(mode="json"),
                on_drift=self.on_drift,
                wait_for_person=not self.auto_rollback,
                track=track,
            ),
            method_name="decided",
        )

    def decided(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """The verdict has been reached, and the traffic follows it already: record, and tell Airflow."""
        with explained(context):
            if event.get("error"):
                raise AirflowFailException(event["error"])
            verdict = Verdict.model_validate(event["verdict"])
            context["ti"].xcom_push("verdict", to_json(verdict))
            target = given(Target, self.target, "target")
            history = history_of(context, self.release, given(Artifact, self.artifact, "artifact"))
            samples = [Sample.model_validate(sample) for sample in event["samples"]]
            history.record_verdict(self.release, target.environment, verdict, samples)
            for note in event["notes"]:
                history.record_event(self.release, "drift", note, target.environment)
            if verdict.judgement != "pass" and not self._goes_on(verdict):
                context["ti"].xcom_push(REASON, verdict.sentence)
                raise AirflowFailException(verdict.sentence)
            self.log.info(verdict.sentence)
            return to_json(verdict)

    def _goes_on(self, verdict: Verdict) -> bool:
        from release_pipelines.domain.analysis import action

        return action(AnalysisSpec.model_validate(self.analysis), verdict) == "go_on"


class BakeOperator(CanaryStepOperator):
    """Give the canary all traffic and watch it: the last check before promotion, with the way back one write away (R18).

    :param hold: seconds that it is watched.

    Other parameters, XCom and errors as :class:`CanaryStepOperator`. After a first release it watches stable.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(weight=100, **kwargs)

    def first_release(self, context: Context) -> None:
        """R17: deployed, now checked."""
        self.watch("stable", 0)


class PromoteOperator(ReleaseOperator):
    """Make the canary that held the new stable (R18). Deferred: holds no worker slot.

    :param target: the app in its environment: a :class:`~release_pipelines.domain.values.Target` or its dict.
    :param artifact: the artifact that held.
    :param lease: the lease, from :class:`~release_pipelines.operators.lease.TakeLeaseOperator`.
    :param release: the release's id.
    :param return_weights: falling canary weights on the way back to stable; 0 comes last by itself.
    :param retire_after: seconds that the canary keeps running after it lost its traffic (R15).
    :return: ``{"promoted": true}``.

    Fails when stable does not become ready with the new version: then all traffic stays on the healthy canary.
    """

    template_fields = ("artifact", "lease", "release")

    def __init__(
        self,
        *,
        target: Target | dict[str, Any],
        artifact: Any,
        lease: Any,
        release: str = RUN,
        return_weights: list[int] | None = None,
        retire_after: float = 30.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.artifact = artifact
        self.lease = lease
        self.release = release
        self.return_weights = [50] if return_weights is None else return_weights
        self.retire_after = retire_after

    def work(self, context: Context) -> None:
        target, lease = given(Target, self.target, "target"), given(Lease, self.lease, "lease")
        artifact = given(Artifact, self.artifact, "artifact")
        observed = _mine(PlatformHook(target).call(lambda platform: platform.observe(target)), lease, target)
        held: Track = "canary" if observed.track("canary").wanted else "stable"
        if observed.track(held).digest != artifact.digest:
            raise AirflowFailException(
                f"{observed.track(held).digest} runs on {held}, and {artifact.digest} was to be promoted: nothing was changed."
            )
        self.defer(
            trigger=PromoteTrigger(
                target=to_json(target),
                release=self.release,
                artifact=to_json(artifact),
                fence=lease.fence,
                return_weights=self.return_weights,
                retire_after=self.retire_after,
            ),
            method_name="promoted",
        )

    def promoted(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """The promotion has ended."""
        with explained(context):
            if event.get("error"):
                raise AirflowFailException(event["error"])
            if event.get("failure"):
                raise AirflowFailException(
                    f"Stable did not become ready with the new version, the traffic stays on the canary: {event['failure']}"
                )
            history_of(context, self.release, given(Artifact, self.artifact, "artifact")).promoted(self.release)
            return event
