"""One stage of a strategy: capacity, then traffic, then a hold in which the version is judged (R3 to R6)."""

from __future__ import annotations

import math
import time
from typing import Any

from release_pipelines.airflow.triggers import PlatformTrigger, first_of, insist, reached
from release_pipelines.core.errors import FenceLost
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.command import Standing, why
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.ports.platform import Platform
from release_pipelines.core.progression.commands import BETWEEN_HOLDS, Steering
from release_pipelines.core.progression.watch import (
    LOOK_SECONDS,
    Watch,
    checked,
    needs_person,
    note_of,
    passed_by,
    said_abort,
)
from release_pipelines.core.verdicts import action

READY_LOOK_SECONDS = 0.5
HEARD_SECONDS = 1.0
"""So long a command that another trigger of the release has heard takes to be heard here, at most."""


class StageTrigger(PlatformTrigger):
    """Bring the new version to its capacity, give it its traffic, and judge it until the stage is decided.

    All that a restart needs is kept with the route: the stage's clock, its traffic, and its verdict, which is written together
    with the traffic that follows from it. After a restart the measurements are asked for again, at the same absolute times, so
    that the verdict is the same. People steer it by the commands in the history.

    :param target: the app in its environment.
    :param release: the release's id.
    :param artifact: what is judged.
    :param fence: the writer's fence.
    :param stage: the :class:`~release_pipelines.core.model.stage.Stage` as a dict.
    :param replicas: replicas that the track needs for its traffic; ignored on stable, which keeps its own.
    :param previous: what stable goes back to where the version is put on stable itself, and what a fresh baseline runs.

    Event: ``{"verdict": Verdict, "samples": [Sample], "notes": [sentence], "aborted": {"by", "reason"} or null}``, or
    ``{"hurried": who}`` for a stage that a person's `promote` made needless.
    """

    def __init__(
        self,
        *,
        target: dict[str, Any],
        release: str,
        artifact: dict[str, Any],
        fence: int,
        stage: dict[str, Any],
        replicas: int,
        previous: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            target=target,
            release=release,
            artifact=artifact,
            fence=fence,
            stage=stage,
            replicas=replicas,
            previous=previous,
        )
        self.release = release
        self.artifact = Artifact.model_validate(artifact)
        self.fence = fence
        self.stage = Stage.model_validate(stage)
        self.replicas = replicas
        self.previous = Artifact.model_validate(previous) if previous else None
        self.steering = Steering(release)
        self.on: Watch

    async def watch(self, platform: Platform) -> dict[str, Any]:
        self.on = Watch(platform, self.target, self.release, self.artifact, self.fence, self.stage, self.previous)
        observed = await insist(self.on.look)
        note = note_of(observed)
        if self.on.mine(note) and note.verdict:
            return await self._again(note, note.verdict)
        if not self.on.mine(note) or note.started_at is None:
            held = await self._steered()
            if held.promote and not self.stage.last and not held.abort:
                return {"hurried": why(held.promote)}
            begun = await self._begin(note, serving=observed.weight(self.stage.track) > 0)
            if not isinstance(begun, RouteNote):
                return begun
            note = begun
        try:
            return await self._hold(note)
        except FenceLost:  # by the release itself, when its heartbeat was the first to hear an abort
            await self.steering.wait(HEARD_SECONDS)
            held = await self.steering.look()
            if not held.abort:
                raise
            return await self._abort(note, held.abort)

    def _has(self) -> str:
        return (
            f"the {self.stage.track} has {self.stage.weight} % of the {'traffic' if self.stage.traffic else 'replicas'}"
        )

    async def _again(self, note: RouteNote, verdict: Verdict) -> dict[str, Any]:
        """Decided before a restart: say it again, with the same measurements."""
        await self.on.measurer.take(self.on.platform, note.started_at or verdict.decided_at, verdict.decided_at)
        held = await self.steering.look()
        if said_abort(held.abort, verdict):
            await self.on.put_back()
            return self.on.event(verdict, held.abort)
        if needs_person(self.stage, verdict):
            return await self._wait_for_person(note, verdict)
        if action(self.stage.analysis, verdict) != "go_on":
            await self.on.put_back()
        return self.on.event(verdict)

    # --- capacity ---------------------------------------------------------------------------------------------

    async def _begin(self, note: RouteNote, *, serving: bool) -> RouteNote | dict[str, Any]:
        """R5: capacity before traffic. The note with the stage's clock; or the event of a stage that does not begin."""
        while True:
            ended = await self._ready(note, serving=serving)
            if ended:
                return ended
            begun = RouteNote(
                release=self.release,
                step=self.stage.name,
                traffic=self.on.traffic,
                started_at=time.time(),
                last_good=note.last_good,
                evidence=carried(note, self.release),
            )
            if await reached(lambda: self.on.platform.split(self.target, self.on.traffic, begun, self.fence)):  # noqa: B023
                self.log.info("%s: %s for at least %g s.", self.stage.name, self._has(), self.stage.hold.min)
                return begun

    async def _ready(self, note: RouteNote, *, serving: bool) -> dict[str, Any] | None:
        """An event when the replicas cannot become ready, serve no more, or somebody aborts."""
        moves = None
        while True:
            held = await self._steered()
            if held.abort:
                return await self._abort(note, held.abort)
            if held.pause:
                await self.steering.say(held.pause, BETWEEN_HOLDS["pause"])
            if moves is not (held.pause is None):
                moves = held.pause is None
                await (self._state_tracks() if moves else self._stand_still())
            settled, failure = await self._advance(serving=serving)
            if failure:
                own = note.model_copy(update={"started_at": time.time()})  # no measurements of an earlier step
                return await self._decide(own, self.on.failed(failure))
            if settled and moves:  # the platform may have been away for long
                held = await self._steered()
                if not held.pause and not held.abort:
                    return None
            else:
                await self.steering.wait(READY_LOOK_SECONDS)

    async def _stand_still(self) -> None:
        """A rolling update that goes on gives the version more traffic: it stops at what it has replaced, or nearly."""
        if self.stage.track != "stable":
            return
        status = (await insist(self.on.look)).track("stable")
        if status.digest == self.artifact.digest and not status.settled:
            share = min(self.stage.share, max(1, 100 * status.updated // max(1, status.wanted)))
            await insist(
                lambda: self.on.platform.deploy(self.target, "stable", self.artifact, None, self.fence, share=share)
            )

    async def _state_tracks(self) -> None:
        platform, stage, track = self.on.platform, self.stage, self.stage.track
        replicas = None if track == "stable" else self.replicas
        await insist(
            lambda: platform.deploy(self.target, track, self.artifact, replicas, self.fence, share=stage.share)
        )
        good = self.previous
        if "baseline" in self._tracks() and good is not None:
            await insist(lambda: platform.deploy(self.target, "baseline", good, self.replicas, self.fence))

    def _tracks(self) -> list[Track]:
        fresh: list[Track] = ["baseline"] if self.on.traffic.weight("baseline") else []
        return [self.stage.track, *fresh]

    async def _advance(self, *, serving: bool) -> tuple[bool, str | None]:
        """Whether all tracks are settled, and why one cannot become so."""
        settled = True
        for track in self._tracks():
            status = await insist(lambda: self.on.platform.advance(self.target, track, self.fence))  # noqa: B023
            if status.failure:
                return False, status.failure
            if serving and not status.ready and track == self.stage.track != "stable":
                return False, f"no replica of {self.artifact.version} is ready any more"
            settled = settled and status.settled
        return settled, None

    # --- the hold ---------------------------------------------------------------------------------------------

    async def _hold(self, note: RouteNote) -> dict[str, Any]:
        looked = -math.inf
        while True:
            held = await self._steered()
            if held.abort:
                return await self._abort(note, held.abort)
            note = await self._clock(note, held)
            verdict = None
            if time.monotonic() - looked >= LOOK_SECONDS:
                looked, verdict = time.monotonic(), await checked(self.on, note)
            verdict = verdict or await first_of(self.on.switched(), self._heard())
            hurry = (held.promote or held.skip(note.started_at or 0)) if self.on.took else None
            if verdict is None and hurry:
                verdict = await self.on.hurried(note, why(hurry))
            earliest, latest = span(note, self.stage) if self.on.took else (math.inf, math.inf)
            verdict = verdict or await first_of(self.on.judge(note, earliest, latest), self._heard())
            if verdict and verdict.judgement == "pass":  # measuring may have taken a while
                verdict = await checked(self.on, note) or verdict
            if verdict:
                event = await self._decide(note, verdict)
                if hurry:
                    await self._say_hurried(hurry, event)
                return event
            await self.steering.wait(self._pause(note))

    async def _heard(self) -> None:
        """A metrics service that takes its time keeps nobody from being heard."""
        await self.steering.wait()

    def _pause(self, note: RouteNote) -> float:
        """Seconds until the next measurement is due, the hold may end, or replicas and traffic are looked at."""
        now, (earliest, latest) = time.time(), span(note, self.stage)
        ends = [it - now for it in (earliest, latest, latest + self.stage.analysis.patience) if it > now]
        often = LOOK_SECONDS if self.on.took else READY_LOOK_SECONDS
        return max(0.02, min(self.on.due(note), often, *(it + 0.01 for it in ends)))

    async def _decide(self, note: RouteNote, verdict: Verdict) -> dict[str, Any]:
        self.log.info("%s: %s", verdict.judgement, verdict.sentence)
        if needs_person(self.stage, verdict):
            return await self._wait_for_person(note, verdict)
        give_back = action(self.stage.analysis, verdict) != "go_on"
        return self.on.event(await self.on.write(note, verdict, give_back=give_back))

    async def _wait_for_person(self, note: RouteNote, verdict: Verdict) -> dict[str, Any]:
        """Stay until somebody says how it goes on, or marks the task; only readiness is watched.

        `skip` and `promote` let it go on, `abort` ends it. Comes back by itself only when a track that kept its traffic dies
        and nobody wants to be asked about that.
        """
        keeps_traffic = action(self.stage.analysis, verdict) == "hold"
        verdict = await self.on.write(note, verdict, give_back=not keeps_traffic)
        self.log.warning(
            "%s Waiting for a person: `skip` (or mark this task as success) to go on, `abort` (or failed) to go back.",
            verdict.sentence,
        )
        looked, waits_since, back = time.monotonic(), verdict.decided_at, False
        while True:
            held = await self._steered()
            if held.abort:
                return await self._abort(note, held.abort)
            lets = held.skip(waits_since) or (held.promote if held.promote and held.promote.at >= waits_since else None)
            if lets:
                return await self._let_on(note, verdict, lets, given_back=not keeps_traffic)
            if held.pause:
                await self.steering.say(held.pause, "It waits for a person already.")
            if time.monotonic() - looked >= LOOK_SECONDS:
                looked, failed = time.monotonic(), await self._died(keeps_traffic=keeps_traffic)
                if failed and not self.stage.wait_for_person:
                    return await self._decide(note, failed)
                if failed:
                    await self.on.write(note, failed, give_back=True)
                    keeps_traffic = False
            back = back or keeps_traffic or await self._went_back()
            await self.steering.wait(LOOK_SECONDS if back else READY_LOOK_SECONDS)

    async def _went_back(self) -> bool:
        """Whether stable has the old version again where it was replaced (rolling), as far as it can: one step nearer."""
        if self.stage.track != "stable" or self.previous is None:
            return True
        status = await insist(lambda: self.on.platform.advance(self.target, "stable", self.fence))
        return status.settled or status.failure is not None

    async def _let_on(self, note: RouteNote, verdict: Verdict, lets: Any, *, given_back: bool) -> dict[str, Any]:
        """As passed, because a person says so; what was put back on stable meanwhile is rolled out again first."""
        if given_back and self.stage.track == "stable":
            ended = await self._ready(note, serving=False)
            if ended:
                return ended
            given_back = False
        passed = passed_by(verdict, f"{why(lets)} let it go on, although")
        event = self.on.event(await self.on.write(note, passed, give_back=given_back))
        await self.steering.say(lets, f"{self.stage.name} goes on, as passed.")
        return event

    async def _died(self, *, keeps_traffic: bool) -> Verdict | None:
        observed = await insist(self.on.look)
        self.on.still_mine(observed)
        status = observed.track(self.stage.track)
        if keeps_traffic and (status.failure or status.ready == 0):
            return self.on.failed(status.failure or f"no replica of {self.artifact.version} is ready any more")
        return None

    # --- people -----------------------------------------------------------------------------------------------

    async def _steered(self) -> Standing:
        """What people want now."""
        held = await self.steering.look()
        if held.promote:
            await self.steering.say(held.promote, BETWEEN_HOLDS["promote"])
        return held

    async def _clock(self, note: RouteNote, held: Standing) -> RouteNote:
        """Stop the hold's clock, or let it go on; the traffic stays, and the version is judged all the time."""
        if held.pause and note.paused_at is None:
            note = note.model_copy(update={"paused_at": time.time()})
            await self.on.keep(note)
        elif held.resume and note.paused_at is not None:
            paused = note.paused_for + time.time() - note.paused_at
            note = note.model_copy(update={"paused_at": None, "paused_for": paused})
            await self.on.keep(note)
            await self.steering.say(held.resume, f"The clock of {self.stage.name} goes on.")
        for command in held.skips:
            if command.at < (note.started_at or 0):
                await self.steering.say(command, BETWEEN_HOLDS["skip"])
        if held.pause:
            await self.steering.say(
                held.pause, f"The clock of {self.stage.name} stands still: {self._has()}, and is judged on."
            )
        elif held.resume:
            await self.steering.say(held.resume, "It was not paused.")
        return note

    async def _abort(self, note: RouteNote, command: Any) -> dict[str, Any]:
        verdict, effect = await self.on.abort(note, command)
        await self.steering.say(command, effect)
        return self.on.event(verdict, command)

    async def _say_hurried(self, command: Any, event: dict[str, Any]) -> None:
        verdict = event["verdict"]
        bad = verdict["judgement"] != "pass"
        await self.steering.say(
            command,
            f"It goes back: {verdict['sentence']}." if bad else f"The hold of {self.stage.name} ended, as passed.",
        )


def span(note: RouteNote, stage: Stage) -> tuple[float, float]:
    """Unix times in seconds at which the hold may end, and at which it ends; infinite while it is paused."""
    if note.paused_at is not None or note.started_at is None:
        return math.inf, math.inf
    since = note.started_at + note.paused_for
    return since + stage.hold.min, since + stage.hold.max


def carried(note: RouteNote, release: str) -> dict[str, Any]:
    """What the sequential tests know from the stages before. What testers or copies of requests showed is not like the rest."""
    if note.release != release or (note.traffic and (note.traffic.testers or note.traffic.mirror)):
        return {}
    return note.verdict.evidence if note.verdict else note.evidence
