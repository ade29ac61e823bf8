"""A release as its DAG has it, with the real triggers, in this process: only Airflow itself is missing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from release_pipelines.adapters.history import History
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.triggers import PlatformTrigger, RetireTrigger, RolloutTrigger
from release_pipelines.core.capacity import capacity_of, fitted
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.verdicts import action
from release_pipelines.features.deployment.decisions import first_release, good_before
from release_pipelines.features.lease.triggers import HoldLeaseTrigger
from release_pipelines.features.outcome.decision import Abort, Facts, outcome_of
from release_pipelines.features.promotion.operators import judged_track
from release_pipelines.features.promotion.triggers import PromoteTrigger
from release_pipelines.features.rollback.plan import RollbackPlan, plan_rollback
from release_pipelines.features.stage.triggers import StageTrigger
from release_pipelines.spec.release import ReleaseSpec
from release_pipelines.spec.stages import promotion_of, retire_after, stages, track_of
from release_pipelines.spec.target import target as target_of
from tests.kubernetes.world import World


class Failed(Exception):
    """A task of the release failed, with the sentence that its log ends with."""

    def __init__(self, reason: str, verdict: Verdict | None = None, aborted: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.verdict = verdict
        self.aborted = Abort.model_validate(aborted) if aborted else None


@dataclass
class Ending:
    """What a release came to."""

    outcome: str
    sentence: str
    verdicts: list[Verdict] = field(default_factory=list)
    plan: RollbackPlan | None = None


class Release:
    """One release of ``artifact`` into the world's namespace.

    :param spec: how it is released.
    """

    def __init__(self, world: World, spec: ReleaseSpec, artifact: Artifact) -> None:
        world.releases += 1
        self.world = world
        self.platform = world.platform
        self.spec = spec
        self.artifact = artifact
        self.id = f"release_{world.app}/run_{world.releases}#0"
        self.target: Target = target_of(spec, "production")
        self.lease: Lease
        self.good: Artifact | None = None
        self.stable_replicas = 0
        self.verdicts: list[Verdict] = []
        self.plan: RollbackPlan | None = None
        self.before: Callable[[], Awaitable[None]] | None = None
        """What is to be seen of a version that is there and has no traffic yet."""

    async def run(self) -> Ending:
        """From the lease to the lease, and to the way back where something fails."""
        history = await self._history()
        await asyncio.to_thread(
            history.begin, self.id, self.world.app, "release", self.id, self.artifact.version, "alice"
        )
        await self.platform.check(self.target)
        self.lease = await self.platform.take_lease(self.target, self.id, 60)
        beat = asyncio.create_task(
            self.watch(HoldLeaseTrigger(target=to_json(self.target), lease=to_json(self.lease), ttl=60))
        )
        try:
            ending = await self._forward_or_back(history)
            await self.platform.give_back_lease(self.target, self.lease)
            assert await beat == {"given_back": True}
        finally:
            beat.cancel()
        await asyncio.to_thread(history.finish, self.id, ending.outcome, ending.sentence)
        return ending

    async def told(self, kind: Any, by: str = "carol", reason: str = "it looks odd") -> None:
        """A person gives a command."""
        history = await self._history()
        await asyncio.to_thread(history.command, self.id, kind, by, reason)

    async def effects(self) -> list[str | None]:
        """What the commands of people did."""
        history = await self._history()
        return [it.effect for it in await asyncio.to_thread(history.commands, self.id)]

    async def watch(self, trigger: PlatformTrigger) -> dict[str, Any]:
        """Its event, from what another process would make of it."""
        _, arguments = trigger.serialize()
        return await type(trigger)(**arguments).watch(self.platform)

    async def _history(self) -> History:
        return await HistoryHook().ahistory()

    # --- forward ----------------------------------------------------------------------------------------------

    async def _forward_or_back(self, history: History) -> Ending:
        try:
            await self._forward()
        except Failed as failed:
            return await self._back(failed)
        await asyncio.to_thread(history.record_artifact, self.id, self.artifact)
        await asyncio.to_thread(history.promoted, self.id)
        return self._ending({"complete": "success", "deploy": "success"})

    async def _forward(self) -> None:
        observed = await self.platform.observe(self.target)
        self.good, self.stable_replicas = good_before(observed, self.artifact, None), observed.track("stable").wanted
        first = first_release(observed)
        track: Track = "stable" if first else track_of(self.spec)
        if first or track != "stable":
            await self._deploy(track, observed)
        if first:
            await self._write("deployed")
        if track == "preview":
            await self._ask_preview()
        if self.before and not first:
            await self.before()
        for stage in stages(self.spec):
            assert isinstance(stage, Stage)
            if not first or stage.last:
                await self._stage(stage if not first else stage.model_copy(update={"track": "stable", "traffic": None}))
        await self._promote()

    async def _deploy(self, track: Track, observed: Observed) -> None:
        replicas = None if track == "stable" else max(1, observed.track("stable").wanted)
        if track == "canary":
            replicas = capacity_of(next(it for it in stages(self.spec) if isinstance(it, Stage)), self.target, replicas)
        await self.platform.deploy(self.target, track, self.artifact, replicas, self.lease.fence)
        rollout = RolloutTrigger(target=to_json(self.target), track=track, fence=self.lease.fence, release=self.id)
        event = await self.watch(rollout)
        if event.get("aborted"):
            raise Failed("aborted", aborted=event["aborted"])
        if failure := event["status"]["failure"]:
            raise Failed(f"{self.artifact.version} did not become ready: {failure}")

    async def _ask_preview(self) -> None:
        answer = await self.platform.ask(self.target, "preview", "/")
        assert (answer.status, answer.version) == (200, self.artifact.version)

    async def _stage(self, stage: Stage) -> None:
        observed = await self.platform.observe(self.target)
        stable = max(1, observed.track("stable").wanted, self.stable_replicas)
        stage = fitted(stage, self.target, stable)
        trigger = StageTrigger(
            target=to_json(self.target),
            release=self.id,
            artifact=to_json(self.artifact),
            fence=self.lease.fence,
            stage=to_json(stage),
            replicas=capacity_of(stage, self.target, stable),
            previous=to_json(self.good) if self.good else None,
            stable_replicas=self.stable_replicas or None,
        )
        try:
            event = await self.watch(trigger)
        except PlatformError as error:
            raise Failed(str(error)) from None
        if "hurried" in event:
            return
        verdict = Verdict.model_validate(event["verdict"])
        self.verdicts.append(verdict)
        if event["aborted"] or action(stage.analysis, verdict) != "go_on":
            raise Failed(verdict.sentence, verdict, event["aborted"])

    async def _promote(self) -> None:
        how = promotion_of(self.spec)
        observed = await self.platform.observe(self.target)
        trigger = PromoteTrigger(
            target=to_json(self.target),
            release=self.id,
            artifact=to_json(self.artifact),
            fence=self.lease.fence,
            track=judged_track(observed),
            return_weights=how.return_weights,
            keep_old=how.keep_old,
            retire_after=how.retire_after,
            previous=to_json(self.good) if self.good else None,
            return_hold=how.return_hold,
            analysis=to_json(self.spec.analysis),
            on_drift=how.on_drift,
        )
        event = await self.watch(trigger)
        if event.get("promoted"):
            return
        raise Failed(event.get("failure") or "aborted", aborted=event.get("aborted"))

    # --- back -------------------------------------------------------------------------------------------------

    async def _back(self, failed: Failed) -> Ending:
        """The tasks of the rollback's group, in their order."""
        observed = await self.platform.observe(self.target)
        self.plan = plan = plan_rollback(observed, self.artifact.digest, self.good)
        states = {"deploy": "success", "plan": "success", "verify": "success"}
        if plan.kind == "person":
            return self._ending({**states, "plan": "failed", "verify": "upstream_failed"}, failed)
        if plan.kind == "redeploy":
            assert plan.artifact is not None
            await self.platform.deploy(self.target, "stable", plan.artifact, None, self.lease.fence, restore=True)
            rollout = RolloutTrigger(target=to_json(self.target), track="stable", fence=self.lease.fence)
            failure = (await self.watch(rollout))["status"]["failure"]
            assert failure is None, failure
        observed = await self.platform.observe(self.target)
        note = observed.route.note if observed.route else RouteNote()
        if not observed.stable_alone or note.release != self.id:
            await self._write("rollback")
        observed = await self.platform.observe(self.target)
        stable = observed.track("stable")
        assert (observed.stable_alone, stable.digest) == (True, plan.digest)
        assert stable.ready > 0
        await self.world.serves(str(plan.version)) if self.world.serving else None
        if observed.beside:
            at = time.time() + retire_after(self.spec)
            await self.watch(RetireTrigger(target=to_json(self.target), fence=self.lease.fence, at=at))
        return self._ending(states, failed)

    async def _write(self, step: str) -> None:
        observed = await self.platform.observe(self.target)
        note = RouteNote(
            release=self.id,
            step=step,
            traffic=ALL_TO_STABLE,
            started_at=time.time(),
            last_good=observed.route.note.last_good if observed.route else None,
        )
        await self.platform.split(self.target, ALL_TO_STABLE, note, self.lease.fence)

    def _ending(self, states: dict[str, str | None], failed: Failed | None = None) -> Ending:
        facts = Facts(
            version=self.artifact.version,
            production="production",
            states=states,
            reason=failed.reason if failed else None,
            weight=failed.verdict.weight if failed and failed.verdict else None,
            returned_to=self.plan.version if self.plan and states.get("verify") == "success" else None,
            rollback_reason=self.plan.sentence if self.plan and self.plan.kind == "person" else None,
            aborted=failed.aborted if failed else None,
        )
        outcome, sentence = outcome_of(facts)
        return Ending(outcome, sentence, self.verdicts, self.plan)


async def roll_back(world: World, spec: ReleaseSpec, good: Artifact) -> RollbackPlan:
    """A person goes back to ``good`` after a release has ended, as the DAG for that does."""
    back = Release(world, spec, good)
    platform, target = world.platform, back.target
    back.lease = await platform.take_lease(target, f"release_rollback/{world.releases}", 60, force=True)
    observed = await platform.observe(target)
    back.artifact = good.model_copy(update={"digest": observed.track("stable").digest})  # what has to go
    back.good = good
    try:
        await back._back(Failed("a person asked for it"))
    finally:
        await platform.give_back_lease(target, back.lease)
    assert back.plan is not None
    return back.plan
