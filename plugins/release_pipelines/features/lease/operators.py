"""One release at a time (R2): take the lease, keep it alive, give it back when the traffic is safe."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.airflow.ending import noted
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.notes import note_now
from release_pipelines.airflow.operator import (
    REASON,
    RUN,
    ReleaseOperator,
    abort_watch,
    as_value,
    explained,
    is_blank,
    known_expired,
    looks_expired,
)
from release_pipelines.airflow.rollouts import longest
from release_pipelines.airflow.task_states import task_states
from release_pipelines.airflow.trains import wait_for_train
from release_pipelines.airflow.triggers import LeaseFreeTrigger, PlatformTrigger, RetireTrigger, RolloutTrigger
from release_pipelines.core.errors import FenceLost, LeaseHeld
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.lease import LEASE_SECONDS, Lease
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from release_pipelines.core.ports.router import drains_within
from release_pipelines.features.lease.ending import BESIDE, FINISHED, TELLS_IT, came_to, is_compiled
from release_pipelines.features.lease.triggers import HoldLeaseTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

CLEANUP_SECONDS = 120.0
"""Longest time that the removal of what has drained may take, in seconds: an autoscaler may have to see first that traffic is back."""


class TakeLeaseOperator(ReleaseOperator):
    """Take the lease, and so become the only writer for an app in an environment.

    :param target: the app in its environment: a :class:`~release_pipelines.core.model.target.Target` or its dict.
    :param release: the lease holder's id; by default the DAG id and the run id.
    :param ttl: seconds until the lease expires if nobody renews it.
    :param when_busy: ``wait`` (deferred, no worker slot) or ``refuse`` while somebody else holds it.
    :param approved: an :class:`~release_pipelines.core.model.artifact.Artifact`. Where given, the history must hold an approval of
        exactly this digest for this release, and the release must not have ended: clearing a task of an old run, or
        marking the approval as success by hand, releases nothing (R1).
    :return: the :class:`~release_pipelines.core.model.lease.Lease` as a dict.

    Templated: ``release``, ``approved``.
    XCom: return value; ``aborted`` when a person has ended the release; ``reason`` when it fails.
    """

    template_fields = ("release", "approved")

    def __init__(
        self,
        *,
        target: Target | dict[str, Any],
        release: str = RUN,
        ttl: float = LEASE_SECONDS,
        when_busy: Literal["wait", "refuse"] = "wait",
        approved: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.release = release
        self.ttl = ttl
        self.when_busy = when_busy
        self.approved = approved
        self.expired: dict[str, Any] | None = None

    def work(self, context: Context) -> dict[str, Any]:
        target = as_value(Target, self.target, "target")
        self._check_approval()
        hook, watched = PlatformHook(target), known_expired(self.expired)
        try:
            lease = hook.call(lambda platform: platform.take_lease(target, self.release, self.ttl, **watched))
        except LeaseHeld as error:
            if self.when_busy == "refuse" and not looks_expired(hook, target):
                raise
            self.log.info("%s Waiting until it is free.", error)
            self.defer(trigger=LeaseFreeTrigger(target=to_json(target)), method_name="resume")
        self.log.info(
            "%s holds the lease of %s in %s, fence %s.", lease.holder, target.app, target.environment, lease.fence
        )
        return to_json(lease)

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """The lease was free a moment ago: try again."""
        self.expired = event.get("expired")
        return self.execute(context)

    def _check_approval(self) -> None:
        if self.approved is None:
            return
        artifact = as_value(Artifact, self.approved, "the approved artifact")
        history = HistoryHook().history()
        release = history.release(self.release)
        if release.outcome:
            raise AirflowFailException(
                f"This release has ended ({release.outcome}). Start a new run to release {artifact.version} again."
            )
        approval = history.approval(self.release)
        if approval is None or approval.decision != "approved" or approval.digest != artifact.digest:
            raise AirflowFailException(f"Nobody has approved {artifact.version} ({artifact.digest}) for this release.")
        abort_watch(history, self.release)()
        environment = as_value(Target, self.target, "target").environment
        wait_for_train(history, artifact.app, environment, self.release, release.reason, self.when_busy)


class HoldLeaseOperator(ReleaseOperator):
    """Keep the lease alive beside the other tasks, deferred, until it is given back.

    :param target: the app in its environment.
    :param lease: the lease, from :class:`TakeLeaseOperator`.
    :param ttl: seconds to which each renewal pushes the expiry out.
    :param artifact: the artifact that is released; with ``stages`` it is judged as long as it has traffic, also while no other
        task of the release can run: in a DAG that is paused, or in a full pool.
    :param stages: the release's :class:`~release_pipelines.core.model.stage.Stage` values, or their dicts.

    Templated: ``lease``, ``artifact``.
    XCom: nothing; ``reason`` when it fails.
    """

    template_fields = ("lease", "artifact")

    def __init__(
        self,
        *,
        target: Target | dict[str, Any],
        lease: Any,
        ttl: float = LEASE_SECONDS,
        artifact: Any = None,
        stages: Sequence[Stage | dict[str, Any]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.lease = lease
        self.ttl = ttl
        self.artifact = artifact
        self.stages = stages

    def work(self, context: Context) -> None:
        target, lease = as_value(Target, self.target, "target"), as_value(Lease, self.lease, "lease")
        artifact = None if is_blank(self.artifact) else to_json(as_value(Artifact, self.artifact, "artifact"))
        stages = [to_json(as_value(Stage, it, "stage")) for it in self.stages]
        trigger = HoldLeaseTrigger(
            target=to_json(target), lease=to_json(lease), ttl=self.ttl, artifact=artifact, stages=stages
        )
        if context["ti"].try_number == 1:  # beside the deployment, which shall not wait for it
            note_now(lease.holder, f"The new version is being deployed to {target.environment}.")
        self.defer(trigger=trigger, method_name="ended")

    def ended(self, context: Context, event: dict[str, Any]) -> None:
        """This release does not hold the lease any more."""
        with explained(context):
            if event.get("error"):
                raise AirflowFailException(event["error"])
            if event.get("taken_by"):
                raise AirflowFailException(f"The lease was taken over by {event['taken_by']}.")


class GiveBackLeaseOperator(ReleaseOperator):
    """Give the lease back; before that, return the traffic if the release was left unfinished (the abort guard).

    Meant as a teardown: ``give_back.as_teardown(setups=take_lease)``. A run that a person marks as failed runs its
    teardowns and nothing else.

    :param target: the app in its environment.
    :param lease: the lease, from :class:`TakeLeaseOperator`.
    :param deployment: what the deploying task pushed under ``deployment``: a stable that was left half rolled gets its ``good``
        artifact back.
    :param plan: what :class:`~release_pipelines.features.rollback.operators.planned.RollbackPlanOperator` pushed under ``plan``, if it ran: then
        the rollback has left stable as it should be.
    :param release: the release's id.
    :param retire_after: seconds that a track beside stable keeps running after it lost its traffic (R15).
    :return: ``{"returned": version that has the traffic again, or null}``.

    Templated: ``lease``, ``deployment``, ``plan``, ``release``.
    XCom: return value, ``returned``; ``reason`` when it fails.
    """

    template_fields = ("lease", "deployment", "plan", "release")

    def __init__(
        self,
        *,
        target: Target | dict[str, Any],
        lease: Any,
        deployment: Any = None,
        plan: Any = None,
        release: str = RUN,
        retire_after: float = 30.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.lease = lease
        self.deployment = deployment
        self.plan = plan
        self.release = release
        self.retire_after = retire_after

    def work(self, context: Context) -> dict[str, Any]:
        target, lease = as_value(Target, self.target, "target"), as_value(Lease, self.lease, "lease")
        hook = PlatformHook(target)
        observed = hook.call(lambda platform: platform.observe(target))
        if observed.lease is None or observed.lease.holder != self.release:
            return self._lost(context, target, observed.lease)
        lease = observed.lease  # a rollback may have taken it again, with a newer fence
        returned = None
        if unfinished(observed, self.release) or self._revert_of(observed):
            # With a fence of its own: what the run's other tasks have begun, and Airflow has not stopped yet, is refused.
            own = lease
            try:
                lease = hook.call(
                    lambda platform: platform.take_lease(target, self.release, LEASE_SECONDS, expired=own)
                )
            except LeaseHeld:  # a rollback was quicker
                return self._lost(context, target, hook.call(lambda platform: platform.observe(target)).lease)
            observed = hook.call(lambda platform: platform.observe(target))
        if unfinished(observed, self.release):
            returned = self._return_traffic(hook, target, observed, lease)
            context["ti"].xcom_push("returned", returned)
            if returned and observed.beside:
                drain = drains_within(target, self.retire_after)
                self._defer_then_give_back(
                    RetireTrigger(target=to_json(target), fence=lease.fence, at=time.time() + drain),
                    returned,
                    lease,
                    drain + CLEANUP_SECONDS,
                )
        elif good := self._revert_of(observed):
            self.log.warning("The release was left unfinished: stable gets %s back.", good.version)
            hook.call(lambda platform: platform.deploy(target, "stable", good, None, lease.fence, restore=True))
            context["ti"].xcom_push("returned", good.version)
            trigger = RolloutTrigger(
                target=to_json(target), track="stable", fence=lease.fence, artifact=to_json(good), restore=True
            )
            seconds = longest(target, observed.track("stable").wanted)
            self._defer_then_give_back(trigger, good.version, lease, seconds)
        return self._give_back(context, hook, target, lease, returned)

    def _lost(self, context: Context, target: Target, lease: Lease | None) -> dict[str, Any]:
        """Somebody else writes now, or nobody: the release ends without a write of its own."""
        self.log.info("The lease is not this release's any more; nothing to give back.")
        end(context, self._dag_or_none(), self.release, target.environment, lease.holder if lease else None, None)
        return {"returned": None}

    def _dag_or_none(self) -> Any:
        return self.dag if self.has_dag() else None

    def _defer_then_give_back(self, trigger: PlatformTrigger, returned: str, lease: Lease, seconds: float) -> None:
        """Wait for the trigger, then give the lease back."""
        self.defer(
            trigger=trigger,
            method_name="done",
            kwargs={"returned": returned, "lease": to_json(lease)},
            timeout=timedelta(seconds=seconds),
        )

    def _return_traffic(self, hook: PlatformHook, target: Target, observed: Observed, lease: Lease) -> str | None:
        stable = observed.track("stable")
        route = observed.route
        serving = next(filter(observed.reaches, observed.beside), None)
        if route is None or serving is None:
            return stable.version if observed.weight("stable") else None
        if stable.ready == 0 or stable.digest == observed.track(serving).digest:
            self.log.error("stable is being changed or has no ready replica: the traffic stays on %s (R18).", serving)
            return None
        note = route.note.followed_by(
            release=self.release,
            step="aborted",
            traffic=ALL_TO_STABLE,
            started_at=time.time(),
        )
        from release_pipelines.core.progression.way_back import give_back

        hook.call(lambda platform: give_back(platform, target, note, lease.fence))
        self.log.warning("The release was left unfinished: all traffic is back on %s.", stable.named)
        return stable.named

    def _revert_of(self, observed: Observed) -> Artifact | None:
        """The artifact that stable gets back when a rolling release ended half-way without a rollback; None in other cases."""
        if is_blank(self.deployment) or not is_blank(self.plan):
            return None
        note = observed.route.note if observed.route else RouteNote()
        deployment = as_value(Deployment, self.deployment, "deployment")
        stable = observed.track("stable")
        if (
            deployment.track != "stable"
            or stable.digest != deployment.digest
            or (note.release == self.release and note.done)
        ):
            return None
        return deployment.good

    def done(self, context: Context, event: dict[str, Any], returned: str | None, lease: dict[str, Any]) -> Any:
        """The unfinished track is removed, or stable runs its old version again: give the lease back."""
        with explained(context):
            failure = event.get("error") or (event.get("status") or {}).get("failure")
            if failure:
                self.log.warning("What the release left was not cleaned up: %s", failure)
            target = as_value(Target, self.target, "target")
            return self._give_back(context, PlatformHook(target), target, Lease.model_validate(lease), returned)

    def _give_back(
        self, context: Context, hook: PlatformHook, target: Target, lease: Lease, returned: str | None
    ) -> dict[str, Any]:
        end(context, self._dag_or_none(), self.release, target.environment, self.release, returned)
        try:
            hook.call(lambda platform: platform.give_back_lease(target, lease))
        except FenceLost as error:
            self.log.info("%s", error)
        return {"returned": returned}


def unfinished(observed: Observed, release: str) -> bool:
    """Whether ``release`` left traffic or a track beside stable: neither promoted nor rolled back to its end."""
    note = observed.route.note if observed.route else None
    if not observed.beside:
        return False
    if not observed.stable_alone and note and note.release not in (None, release):
        return False  # an earlier release left it so, for a person to decide (R18)
    return note is None or not (note.release == release and note.done)


def end(context: Context, dag: Any, release: str, environment: str, holder: str | None, returned: str | None) -> None:
    """Record what a release came to that nobody else ends. Never raises.

    :param dag: the DAG of the task that gives the lease back.
    :param release: the release's id.
    :param holder: who holds the lease.
    :param returned: the version that has got the traffic back; None: nothing was given back here.
    """
    if is_compiled(release) or dag is None or any(it.task_type in TELLS_IT for it in dag.tasks):
        return
    with noted("What the release came to could not be recorded"):
        from release_pipelines.adapters.history import UnknownRelease

        history = HistoryHook().history()
        try:
            detail = history.release(release)
        except UnknownRelease:  # it was never judged, approved or promoted
            return
        if detail.outcome is not None:
            return
        tasks = [it.task_id for it in dag.tasks if _works(it)]
        states = task_states(context, tasks)
        if any(state not in FINISHED for state in states.values()):  # another environment is still to come
            return
        failed = next((task for task in tasks if states.get(task) == "failed"), None)
        why = context["ti"].xcom_pull(task_ids=failed, key=REASON) if failed else None
        said = str(why or (f"{failed} failed" if failed else "a person ended the run")).rstrip(".")
        outcome, sentence = came_to(detail, environment, said, holder, returned, whole=failed is None)
        history.finish(release, outcome, sentence)
        log.info("%s", sentence)
        note_now(release, sentence)  # the run's last one would be about a stage


def _works(task: Any) -> bool:
    """Whether a task is one of ours that has to be over before a release has ended."""
    return (
        type(task).__module__.startswith("release_pipelines.") and not task.is_teardown and task.task_type not in BESIDE
    )
