"""Rollback (R8), in named tasks: plan, prepare, switch, verify, clean up.

Plan, prepare, switch and verify are critical: where one fails, the following ones do not run, and a person is called. The back-up
of the state before the rollback and the clean-up are not: their failures are recorded.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from release_pipelines.airflow.hooks.history import HistoryHook, record
from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.operator import RUN, TAKEN_OVER, ReleaseOperator, as_value, explained, is_blank
from release_pipelines.airflow.rollouts import WORKER_SECONDS, longest, settle
from release_pipelines.airflow.smoke_test import said_version, smoke_test
from release_pipelines.airflow.triggers import RetireTrigger, RolloutTrigger
from release_pipelines.core.errors import FenceLost, LeaseHeld, PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import Stored, to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.lease import LEASE_SECONDS, Lease
from release_pipelines.core.model.observation import Observed, TrackStatus
from release_pipelines.core.model.release_id import is_rollback
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from release_pipelines.core.ports.router import drains_within
from release_pipelines.core.stable import recalled
from release_pipelines.features.rollback.plan import RollbackPlan, plan_rollback

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.core.ports.platform import Platform


class Planned(Stored):
    """The plan of a rollback with its target and lease: the only input of the tasks that follow the plan."""

    target: Target
    release: str
    plan: RollbackPlan
    lease: Lease
    paths: list[str]
    retire_after: float


class RollbackPlanOperator(ReleaseOperator):
    """Plan the rollback from the state of the environment; record that state, and change nothing but the lease.

    A rollback takes precedence over a release: the lease is taken by force, but never from another rollback. Then, and where
    another release has changed the environment since, the task is skipped, with XCom ``taken_over`` naming who.

    :param target: the app in its environment.
    :param deployment: what the deploying task pushed under ``deployment``; where it is missing the task is skipped.
    :param release: the release's id.
    :param paths: paths that must answer 2xx with the good version when the traffic is back.
    :param retire_after: seconds that the failed track keeps running after it lost its traffic (R15).
    :return: a :class:`Planned` as a dict. Fails when only a person can help.

    Templated: ``deployment``, ``release``.
    XCom: return value, ``plan``; ``taken_over``, ``verdict`` where there is one; ``reason`` when it fails.
    """

    template_fields = ("deployment", "release")

    def __init__(
        self,
        *,
        target: Target | dict[str, Any],
        deployment: Any,
        release: str = RUN,
        paths: list[str] | None = None,
        retire_after: float = 30.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.deployment = deployment
        self.release = release
        self.paths = paths or ["/"]
        self.retire_after = retire_after

    def work(self, context: Context) -> dict[str, Any]:
        if is_blank(self.deployment):
            raise AirflowSkipException("Nothing was deployed, nothing to roll back.")
        target, bad = as_value(Target, self.target, "target"), as_value(Deployment, self.deployment, "deployment")
        hook = PlatformHook(target)
        before = hook.call(lambda platform: platform.observe(target))
        owner = owner_of(before)
        if not _is_unfinished(before, self.release):
            # a task of an old run that was cleared: it must not take a newer release's traffic away, nor its own (R1)
            self._gone(context, target, owner)
        lease = self._take(context, hook, target)
        self._keep_verdict(context, target, before)
        recorded = self._recorded(target, bad.digest)
        is_what_ran = recorded is None or (bad.good is not None and bad.good.digest == recorded.digest)
        good = bad.good if is_what_ran else recorded
        observed = recalled(hook.call(lambda platform: platform.observe(target)), bad)
        plan = plan_rollback(observed, bad.digest, good)
        context["ti"].xcom_push("plan", to_json(plan))
        record_plan(self.release, target, plan, observed)
        if plan.kind == "person":
            raise AirflowFailException(plan.sentence[0].upper() + plan.sentence[1:] + ".")
        self.log.info("Plan: %s.", plan.sentence)
        planned = Planned(
            target=target,
            release=self.release,
            plan=plan,
            lease=lease,
            paths=self.paths,
            retire_after=self.retire_after,
        )
        return to_json(planned)

    def _take(self, context: Context, hook: PlatformHook, target: Target) -> Lease:
        def take(*, force: bool) -> Lease:
            return hook.call(lambda platform: platform.take_lease(target, self.release, LEASE_SECONDS, force=force))

        try:
            return take(force=False)
        except LeaseHeld:
            holder = owner_of(hook.call(lambda platform: platform.observe(target)))
            if is_rollback(holder):
                self._gone(context, target, holder)
            return take(force=True)

    def _recorded(self, target: Target, bad_digest: str) -> Artifact | None:
        """The last good artifact of the history; None where there is none, or the history is away, which stops no rollback."""
        try:
            return HistoryHook().history().last_good(target.app, target.environment, excluding=bad_digest)
        except Exception as error:  # whatever is the matter with it
            self.log.warning("%s The way back is what the deployment noted.", str(error).partition("\n")[0])
            return None

    def _gone(self, context: Context, target: Target, owner: str | None) -> None:
        """Skip the task: another release owns the environment now, or this one was promoted."""
        if owner and owner != self.release:
            context["ti"].xcom_push(TAKEN_OVER, owner)
        raise AirflowSkipException(
            f"This release has been promoted in {target.environment}, or another one has changed it since: nothing is "
            "rolled back. To go back, release an older version."
        )

    def _keep_verdict(self, context: Context, target: Target, before: Observed) -> None:
        """Record the verdict on the route's note: a step that was ended while it waited for a person could not record it (R13)."""
        note = before.route.note if before.route else RouteNote()
        if note.release == self.release and note.verdict and note.verdict.judgement != "pass":
            context["ti"].xcom_push("verdict", to_json(note.verdict))
            record(HistoryHook().history, "record_verdict", self.release, target.environment, note.verdict, [])


def record_plan(release: str, target: Target, plan: RollbackPlan, observed: Observed) -> None:
    """Record the plan, and the state before the rollback changes anything."""
    record_event(release, "back_up", "what stood before the rollback", target.environment, to_json(observed))
    record_event(release, "rollback", plan.sentence, target.environment, to_json(plan))


def record_event(release: str, kind: str, sentence: str, environment: str, data: dict[str, Any] | None = None) -> None:
    """Add an event to the release. A history that is away, or does not know the release, stops no rollback."""
    record(HistoryHook().history, "record_event", release, kind, sentence, environment, data)


def owner_of(observed: Observed) -> str | None:
    """The release that owns the environment: the lease holder, else the last writer of the route; None where nobody is."""
    if observed.lease is not None and observed.lease.holder and observed.lease.expires_at > time.time():
        return observed.lease.holder
    return observed.route.note.release if observed.route else None


def _is_unfinished(observed: Observed, release: str) -> bool:
    """Whether ``release`` still owns the environment and has neither promoted nor rolled back to its end."""
    owner = owner_of(observed)
    if is_rollback(owner):
        return False
    if observed.lease is not None and observed.lease.holder == release:
        return True
    note = observed.route.note if observed.route else RouteNote()
    return note.release == release and not note.done


class PlannedOperator(ReleaseOperator):
    """Base of the rollback's tasks that follow the plan.

    :param plan: what :class:`RollbackPlanOperator` returned.
    """

    template_fields = ("plan",)

    def __init__(self, *, plan: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan

    def planned(self) -> Planned:
        """The plan with its target and lease."""
        return as_value(Planned, self.plan, "the rollback's plan")


class RollbackPrepareOperator(PlannedOperator):
    """Make the good version ready to take the traffic: a rolling update of stable where it does not run any more.

    Waits without a worker slot when that takes longer than a few seconds.

    Templated: ``plan``.
    XCom: nothing; ``reason`` when it fails.
    """

    def work(self, context: Context) -> None:
        planned = self.planned()
        good = planned.plan.artifact
        if planned.plan.kind != "redeploy" or good is None:
            self.log.info("%s still runs: nothing to prepare.", planned.plan.version)
            return

        async def redeploy(platform: Platform) -> TrackStatus:
            await platform.deploy(planned.target, "stable", good, None, planned.lease.fence, restore=True)
            return await settle(
                platform,
                planned.target,
                "stable",
                planned.lease.fence,
                WORKER_SECONDS,
                artifact=good,
                restore=True,
            )

        status = PlatformHook(planned.target).call(redeploy)
        if not status.settled and not status.failure:
            self.defer(
                trigger=RolloutTrigger(
                    target=to_json(planned.target),
                    track="stable",
                    fence=planned.lease.fence,
                    artifact=to_json(good),
                    restore=True,
                ),
                method_name="ready",
                timeout=timedelta(seconds=longest(planned.target, status.wanted)),
            )
        self._ready(planned, status.failure)

    def ready(self, context: Context, event: dict[str, Any]) -> None:
        """The rollout of the good version has ended, ready or failed."""
        with explained(context):
            self._ready(self.planned(), event.get("error") or event["status"]["failure"])

    def _ready(self, planned: Planned, failure: str | None) -> None:
        if failure:
            raise AirflowFailException(f"{planned.plan.version} did not become ready: {failure}")
        self.log.info("%s is ready on stable.", planned.plan.version)


class RollbackSwitchOperator(PlannedOperator):
    """Put all traffic on the last good version; a failing verdict's trigger may have done so already (R4).

    :return: ``{"version": …, "digest": …}`` of what has the traffic.

    Templated: ``plan``.
    XCom: return value; ``reason`` when it fails.
    """

    def work(self, context: Context) -> dict[str, Any]:
        planned = self.planned()

        from release_pipelines.core.progression.way_back import give_back

        async def switch(platform: Platform) -> None:
            observed = await platform.observe(planned.target)
            current = observed.route.note if observed.route else RouteNote()
            if observed.route and observed.route.traffic.same(ALL_TO_STABLE) and current.release == planned.release:
                return  # a failing verdict moved it already: its note stays, with the verdict
            note = current.followed_by(
                release=planned.release,
                step="rollback",
                traffic=ALL_TO_STABLE,
                started_at=time.time(),
                last_good=planned.plan.artifact or current.last_good,
            )
            await give_back(platform, planned.target, note, planned.lease.fence)

        PlatformHook(planned.target).call(switch)
        return {"version": planned.plan.version, "digest": planned.plan.digest}


class RollbackVerifyOperator(PlannedOperator):
    """Check the running system: the weights at the router, the replicas, and an answer through the proxy.

    A version that somebody else has put on stable meanwhile is replaced by the good one again (R14); the next try looks once more.

    Templated: ``plan``.
    XCom: return value; ``reason`` when it fails.
    """

    def work(self, context: Context) -> dict[str, Any]:
        planned = self.planned()
        observed = PlatformHook(planned.target).call(lambda platform: platform.observe(planned.target))
        stable = observed.track("stable")
        all_of_it = observed.route is not None and observed.route.traffic.same(ALL_TO_STABLE)
        other = planned.plan.digest is not None and stable.digest not in (None, planned.plan.digest)
        if not all_of_it or other or stable.ready == 0:
            who = ""
            if other:
                who = f", put there by {stable.changed_by or 'somebody'} after the rollback,"
                self._put_back(planned)
            raise AirflowException(
                f"stable runs {stable.named}{who} with {stable.ready} ready replicas and "
                f"{observed.weight('stable')} % of the traffic; {planned.plan.version} with all of it is expected."
            )
        plan = planned.plan
        smoke_test(
            planned.target, planned.paths, said_version(planned.target, planned.paths, plan.version, plan.digest)
        )
        record_event(
            planned.release,
            "verified",
            f"all traffic is on {planned.plan.version}, which answers",
            planned.target.environment,
        )
        self.log.info("All traffic is on %s, which answers.", planned.plan.version)
        return {"version": planned.plan.version, "digest": planned.plan.digest}

    def _put_back(self, planned: Planned) -> None:
        """State the good version on stable again, where the plan has said what it is, and give it a moment."""
        good = planned.plan.artifact
        if good is None:
            return

        async def redeploy(platform: Platform) -> None:
            await platform.deploy(planned.target, "stable", good, None, planned.lease.fence, restore=True)
            await settle(platform, planned.target, "stable", planned.lease.fence, WORKER_SECONDS)

        PlatformHook(planned.target).call(redeploy)


class RollbackCleanupOperator(PlannedOperator):
    """Remove the tracks beside stable when they have drained, and wait until stable has settled. Deferred: holds no worker slot. Not critical.

    Templated: ``plan``.
    XCom: nothing; ``reason`` when it fails.
    """

    def work(self, context: Context) -> None:
        planned = self.planned()
        observed = PlatformHook(planned.target).call(lambda platform: platform.observe(planned.target))
        if not observed.beside and observed.track("stable").settled:
            from release_pipelines.core.progression.retirement import retire_beside

            try:  # also without a track: what the release changed around stable, like its autoscaler, is put back
                PlatformHook(planned.target).call(
                    lambda platform: retire_beside(platform, planned.target, planned.lease.fence)
                )
            except PlatformError as error:
                self.log.warning("What the release changed around stable was not put back: %s", error)
            return
        verdict = observed.route.note.verdict if observed.route else None
        since = (verdict.decided_at if verdict else None) or time.time()
        drained = since + drains_within(planned.target, planned.retire_after)
        self.defer(
            trigger=RetireTrigger(target=to_json(planned.target), fence=planned.lease.fence, at=drained),
            method_name="retired",
        )

    def retired(self, context: Context, event: dict[str, Any]) -> None:
        """The track is removed; a failure is recorded, but does not fail a rollback that is done."""
        if event.get("error"):
            planned = self.planned()
            record_event(planned.release, "cleanup", event["error"], planned.target.environment)
            self.log.warning("What ran beside stable was not removed: %s", event["error"])


class RollbackGiveBackOperator(PlannedOperator):
    """Give the lease of a rollback back; the traffic stays where the rollback left it. Meant as a teardown of the plan.

    Templated: ``plan``.
    XCom: nothing; ``reason`` when it fails.
    """

    def work(self, context: Context) -> None:
        if is_blank(self.plan):
            return  # it has failed, or found nothing to do: see ManualRollbackPlanOperator, which frees what it took
        planned = self.planned()
        try:
            PlatformHook(planned.target).call(lambda platform: platform.give_back_lease(planned.target, planned.lease))
        except FenceLost as lost:
            self.log.info("%s", lost)
