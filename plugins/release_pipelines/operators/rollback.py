"""The way back (R8), in named tasks: plan, switch, verify, clean up."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from release_pipelines.domain.rollback import RollbackPlan, plan_rollback
from release_pipelines.domain.values import Deployment, Lease, Observed, RouteNote, Target, TrackStatus, to_json
from release_pipelines.hooks.history import HistoryHook
from release_pipelines.hooks.platform import PlatformHook
from release_pipelines.operators.base import ReleaseOperator, explained, given
from release_pipelines.operators.check import smoke_test
from release_pipelines.operators.deploy import WORKER_SECONDS, settle
from release_pipelines.operators.lease import LEASE_SECONDS, RUN
from release_pipelines.triggers.promote import RetireTrigger
from release_pipelines.triggers.rollout import RolloutTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.platforms.base import Platform


class RollbackPlanOperator(ReleaseOperator):
    """Decide how to go back, from what really runs; changes nothing but the lease, which a rollback takes by force.

    :param target: the app in its environment.
    :param deployment: what the deploying task pushed under ``deployment``; where it is missing the task is skipped.
    :param release: the release's id.
    :return: ``{"plan": RollbackPlan, "lease": Lease, "weight": canary weight found}``. Fails when only a person can help.
    """

    template_fields = ("deployment", "release")

    def __init__(self, *, target: Target | dict[str, Any], deployment: Any, release: str = RUN, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.deployment = deployment
        self.release = release

    def work(self, context: Context) -> dict[str, Any]:
        if self.deployment in (None, "", "null", "None"):
            raise AirflowSkipException("Nothing was deployed, nothing to roll back.")
        target, bad = given(Target, self.target, "target"), given(Deployment, self.deployment, "deployment")
        hook = PlatformHook(target)
        before = hook.call(lambda platform: platform.observe(target))
        if not _belongs(before, self.release):
            # a task of an old run that was cleared: it must not take a newer release's traffic away, nor its own (R1)
            raise AirflowSkipException(
                f"This release has been promoted in {target.environment}, or another one has changed it since: nothing is "
                "rolled back. To go back, release an older version."
            )
        self._keep_verdict(context, target, before)
        good = HistoryHook().history().last_good(target.app, target.environment, excluding=bad.digest)
        lease = hook.call(lambda platform: platform.take_lease(target, self.release, LEASE_SECONDS, force=True))
        observed = hook.call(lambda platform: platform.observe(target))
        plan = plan_rollback(observed, bad.digest, good)
        context["ti"].xcom_push("plan", to_json(plan))
        HistoryHook().history().record_event(self.release, "rollback", plan.sentence, target.environment, to_json(plan))
        if plan.kind == "person":
            raise AirflowFailException(plan.sentence[0].upper() + plan.sentence[1:] + ".")
        self.log.info("Plan: %s.", plan.sentence)
        return {"plan": to_json(plan), "lease": to_json(lease)}

    def _keep_verdict(self, context: Context, target: Target, before: Observed) -> None:
        """A step that was ended while it waited for a person could not tell its verdict: it stands on the route (R13)."""
        note = before.route.note if before.route else RouteNote()
        if note.release == self.release and note.verdict and note.verdict.judgement != "pass":
            context["ti"].xcom_push("verdict", to_json(note.verdict))
            HistoryHook().history().record_verdict(self.release, target.environment, note.verdict, [])


def _belongs(observed: Observed, release: str) -> bool:
    """Whether what stands in the environment is this release's unfinished work."""
    if observed.lease is not None and observed.lease.holder == release:
        return True
    note = observed.route.note if observed.route else RouteNote()
    return note.release == release and not note.done


class _Planned(ReleaseOperator):
    """A rollback task that does its part of a plan.

    :param target: the app in its environment.
    :param plan: what :class:`RollbackPlanOperator` returned.
    :param release: the release's id.
    """

    template_fields = ("plan", "release")

    def __init__(self, *, target: Target | dict[str, Any], plan: Any, release: str = RUN, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.plan = plan
        self.release = release

    def planned(self) -> tuple[Target, RollbackPlan, Lease]:
        """Target, plan and lease as values."""
        import json

        both = json.loads(self.plan) if isinstance(self.plan, str) else self.plan
        if not both:
            raise ValueError("The rollback's plan is missing.")
        return (
            given(Target, self.target, "target"),
            RollbackPlan.model_validate(both["plan"]),
            Lease.model_validate(both["lease"]),
        )


class RollbackSwitchOperator(_Planned):
    """Put all traffic on the last good version; finds it there already when a trigger returned it (R4).

    :return: ``{"version": …, "digest": …}`` of what has the traffic.
    """

    def work(self, context: Context) -> dict[str, Any]:
        target, plan, lease = self.planned()

        async def switch(platform: Platform) -> TrackStatus | None:
            if plan.artifact is not None:
                await platform.deploy(target, "stable", plan.artifact, None, lease.fence)
                status = await settle(platform, target, "stable", lease.fence, WORKER_SECONDS)
                if not status.settled:
                    return status
            await self._all_to_stable(platform, target, plan, lease)
            return None

        status = PlatformHook(target).call(switch)
        if status is not None and status.failure:
            raise AirflowFailException(f"{plan.version} did not become ready: {status.failure}")
        if status is not None:
            self.defer(
                trigger=RolloutTrigger(target=to_json(target), track="stable", fence=lease.fence),
                method_name="ready",
                timeout=timedelta(seconds=10 * target.workload.ready_timeout + 600),
            )
        return {"version": plan.version, "digest": plan.digest}

    def ready(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """The last good version has been rolled out again, or cannot be."""
        with explained(context):
            target, plan, lease = self.planned()
            failure = event.get("error") or event["status"]["failure"]
            if failure:
                raise AirflowFailException(f"{plan.version} did not become ready: {failure}")
            PlatformHook(target).call(lambda platform: self._all_to_stable(platform, target, plan, lease))
            return {"version": plan.version, "digest": plan.digest}

    async def _all_to_stable(self, platform: Platform, target: Target, plan: RollbackPlan, lease: Lease) -> None:
        observed = await platform.observe(target)
        note = observed.route.note if observed.route else RouteNote()
        if observed.route and observed.weight("canary") == 0 and note.release == self.release:
            return  # a failing verdict moved it already: its note stays, with the verdict
        await platform.split(
            target,
            0,
            RouteNote(
                release=self.release,
                step="rollback",
                weight=0,
                started_at=time.time(),
                last_good=plan.artifact or note.last_good,
            ),
            lease.fence,
        )


class RollbackVerifyOperator(_Planned):
    """Check the running system: the weights at the router, the replicas, and an answer through the proxy.

    :param paths: paths that must answer 2xx with the good version.
    """

    def __init__(self, *, paths: list[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.paths = paths or ["/"]

    def work(self, context: Context) -> dict[str, Any]:
        target, plan, _ = self.planned()
        observed = PlatformHook(target).call(lambda platform: platform.observe(target))
        stable = observed.track("stable")
        if observed.weight("canary") or stable.digest != plan.digest or stable.ready == 0:
            raise AirflowException(
                f"stable runs {stable.version or stable.digest} with {stable.ready} ready replicas and "
                f"{observed.weight('stable')} % of the traffic; {plan.version} with all of it is expected."
            )
        smoke_test(target, self.paths, plan.version)
        self.log.info("All traffic is on %s, which answers.", plan.version)
        return {"version": plan.version, "digest": plan.digest}


class RollbackCleanupOperator(_Planned):
    """Retire the failed canary when it has drained. Deferred: holds no worker slot. Not critical.

    :param retire_after: seconds that it keeps running after it lost its traffic (R15).
    """

    def __init__(self, *, retire_after: float = 30.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.retire_after = retire_after

    def work(self, context: Context) -> None:
        target, _, lease = self.planned()
        observed = PlatformHook(target).call(lambda platform: platform.observe(target))
        if observed.track("canary").wanted == 0:
            return
        verdict = observed.route.note.verdict if observed.route else None
        since = (verdict.decided_at if verdict else None) or time.time()
        self.defer(
            trigger=RetireTrigger(
                target=to_json(target), track="canary", fence=lease.fence, at=since + self.retire_after
            ),
            method_name="retired",
        )

    def retired(self, context: Context, event: dict[str, Any]) -> None:
        """The canary is gone, or could not be removed: noted, but no reason to fail a rollback that is done."""
        if event.get("error"):
            target = given(Target, self.target, "target")
            HistoryHook().history().record_event(self.release, "cleanup", event["error"], target.environment)
            self.log.warning("The failed canary was not removed: %s", event["error"])
