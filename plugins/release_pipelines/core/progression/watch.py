"""The new version in one stage: looked at, judged, and given up at once when it is bad (R3 to R6, R14)."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import Any

from release_pipelines.adapters.entry import ask, at
from release_pipelines.airflow.hooks.prometheus import open_metrics
from release_pipelines.airflow.triggers import first_of, insist
from release_pipelines.core.errors import FenceLost, Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Traffic
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.ports.platform import Platform
from release_pipelines.core.ports.router import router_of
from release_pipelines.core.progression.commands import Steering, aborted_by
from release_pipelines.core.progression.measuring import Measurer
from release_pipelines.core.verdicts import action, stage_verdict

log = logging.getLogger(__name__)

HURRY_SECONDS = 1.0
"""So long a person who ends a hold waits for the newest measurements; then the version is judged without them."""
LOOK_SECONDS = 5.0
"""Pause between two looks at replicas, weights and lease; measurements and commands have their own."""


class Watch:
    """What a trigger does with a stage; all that outlives it is the note on the route.

    :param platform: where the version runs.
    :param target: the app in its environment.
    :param release: the release's id.
    :param artifact: what is judged.
    :param fence: the writer's fence.
    :param stage: the stage.
    :param previous: what stable goes back to when the version itself was put there (rolling).
    """

    def __init__(
        self,
        platform: Platform,
        target: Target,
        release: str,
        artifact: Artifact,
        fence: int,
        stage: Stage,
        previous: Artifact | None,
    ) -> None:
        self.platform = platform
        self.target = target
        self.release = release
        self.artifact = artifact
        self.fence = fence
        self.stage = stage
        self.previous = previous
        self.traffic: Traffic = stage.traffic or ALL_TO_STABLE
        self.measurer = Measurer(target, stage.track, beside(stage), stage.analysis, open_metrics)
        self.notes: list[str] = []
        self.took = False
        self._waits_since: float | None = None
        self._known: Any = None
        self._undecided: tuple[Any, ...] | None = None

    # --- looking ----------------------------------------------------------------------------------------------

    async def look(self) -> Observed:
        """What stands now.

        :raises FenceLost: when the lease is not this release's any more, or the release has gone on to another step, or
            back: the fence is the release's, and Airflow takes a moment to stop a trigger whose task was marked.
        """
        observed = await self.platform.observe(self.target)
        if observed.lease is None or observed.lease.fence != self.fence:
            holder = observed.lease.holder if observed.lease else "nobody"
            raise FenceLost(
                f"The lease of {self.target.app} in {self.target.environment} is held by {holder}: "
                "this release has ended or was superseded, and changes nothing any more."
            )
        return observed

    def mine(self, note: RouteNote) -> bool:
        """Whether the note is this stage's own."""
        return note.release == self.release and note.step == self.stage.name

    def where(self, note: RouteNote) -> Watch | None:
        """What watches the version where it really is: a person may have had this stage left out. None: it has no traffic yet."""
        if self.mine(note):
            return self
        if note.release != self.release or note.step is None or note.traffic is None or note.started_at is None:
            return None
        stage = self.stage.model_copy(update={"name": note.step, "traffic": note.traffic})
        return Watch(self.platform, self.target, self.release, self.artifact, self.fence, stage, self.previous)

    def still_mine(self, observed: Observed) -> None:
        """Raise FenceLost when the release has gone on to another step, or back: a person may have marked the task."""
        note = note_of(observed)
        if note.release == self.release and note.step != self.stage.name:
            raise FenceLost(
                f"{self.release} has gone on from {self.stage.name} to {note.step}: this step changes nothing more."
            )

    async def check(self, note: RouteNote) -> Verdict | None:
        """Replicas, lease and traffic: a failing verdict when the track died or the drift policy says so."""
        observed = await self.look()
        self.still_mine(observed)
        status = observed.track(self.stage.track)
        if status.failure or status.ready == 0:
            return self.failed(status.failure or f"no replica of {self.artifact.version} is ready any more")
        if self.traffic.weight("baseline") and observed.track("baseline").ready == 0:
            return self.failed("no replica of the baseline, which it is compared with, is ready any more")
        if status.digest != self.artifact.digest:
            return self.failed(f"the {self.stage.track} runs {status.digest or 'nothing'}, not {self.artifact.digest}")
        if observed.route and self.mine(observed.route.note) and observed.route.traffic.same(self.traffic):
            return None
        said = drift(observed, self.traffic, self.stage.track)
        if self.stage.on_drift == "abort":
            return self.failed(said)
        await self._set_again(note, said)
        return None

    async def _set_again(self, note: RouteNote, said: str) -> None:
        try:
            await self.keep(note)
        except (FenceLost, Forbidden):
            raise
        except PlatformError as error:  # pods that come and go may not make the weight right now
            log.warning("Drift: %s; it could not be set again yet: %s", said, error)
            return
        self.notes.append(f"Drift: {said}; set again.")
        log.warning(self.notes[-1])

    async def switched(self) -> Verdict | None:
        """Ask where the traffic enters whether the switch of all traffic took; a failing verdict when it does not for too long."""
        for path in [] if self.took else self.stage.paths:
            answer = await ask(self.target, path)
            if answer is None or not 200 <= answer.status < 300 or answer.version != self.artifact.version:
                self._waits_since = self._waits_since or time.monotonic()
                if time.monotonic() - self._waits_since < router_of(self.target.router).settles_within:
                    return None
                said = f"{answer.status} from version {answer.version or 'unknown'}" if answer else "no answer"
                return self.failed(
                    f"the switch did not take: {at(self.target, path)} gives {said}, 2xx from {self.artifact.version} is expected"
                )
        self.took = True
        return None

    # --- judging ----------------------------------------------------------------------------------------------

    async def judge(self, note: RouteNote, earliest: float, latest: float) -> Verdict | None:
        """Measure what is due, and decide if it can be decided.

        :param earliest: Unix time in seconds at which the hold may end; infinite: only a failing verdict ends it.
        :param latest: Unix time in seconds at which it ends.
        """
        await self.measurer.take(self.platform, note.started_at or time.time(), time.time())
        return self._verdict(note, earliest, latest)

    def due(self, note: RouteNote) -> float:
        """Seconds until the next measurement is due."""
        now, interval = time.time(), self.stage.analysis.interval
        return interval - (now - (note.started_at or now)) % interval + 0.01

    async def hurried(self, note: RouteNote, by: str) -> Verdict:
        """The hold ends now because a person says so: as passed, unless the version is known to be bad."""
        take = self.measurer.take(self.platform, note.started_at or time.time(), time.time())
        await first_of(take, asyncio.sleep(HURRY_SECONDS))
        verdict = self._verdict(note, -math.inf, -math.inf)
        assert verdict is not None  # noqa: S101 - a hold that is over is always decided
        if verdict.judgement == "fail":
            return verdict
        return passed_by(verdict, f"{by} ended the hold early")

    def _verdict(self, note: RouteNote, earliest: float, latest: float) -> Verdict | None:
        """None at once while nothing is new since it was None: a thousand triggers look once a second."""
        analysis, now = self.stage.analysis, time.time()
        known = (self.measurer.taken, [now >= it for it in (earliest, latest, latest + analysis.patience)])
        if known == self._undecided:
            return None
        samples = self.measurer.samples
        self._known = JUDGES.get(analysis.judge).known(analysis, samples, note.evidence, self._known)
        verdict = stage_verdict(
            self.stage.name, self.stage.weight, analysis, samples, now, earliest, latest, note.evidence, self._known
        )
        self._undecided = None if verdict else known
        return verdict

    def failed(self, sentence: str) -> Verdict:
        """A verdict that needs no measurement."""
        return Verdict(
            judgement="fail",
            decided_at=time.time(),
            step=self.stage.name,
            weight=self.stage.weight,
            sentence=sentence,
        )

    # --- writing ----------------------------------------------------------------------------------------------

    async def keep(self, note: RouteNote) -> None:
        """The stage's traffic, with this note."""
        await insist(lambda: self.platform.split(self.target, self.traffic, note, self.fence))

    async def write(self, note: RouteNote, verdict: Verdict, *, give_back: bool) -> Verdict:
        """R4: the verdict, and the traffic that follows from it, in one write; only then Airflow is told.

        A rolling release then states on stable what ran there before. A stable that cannot take the traffic leaves it where
        it is: that is safer than nobody.
        """
        traffic = ALL_TO_STABLE if give_back else self.traffic
        kept = note.model_copy(
            update={"release": self.release, "step": self.stage.name, "traffic": traffic, "verdict": verdict}
        )
        try:
            await insist(lambda: self.platform.split(self.target, traffic, kept, self.fence))
        except (FenceLost, Forbidden):
            raise
        except PlatformError as error:
            verdict = verdict.model_copy(
                update={"sentence": f"{verdict.sentence}; the traffic stays where it is: {error}"}
            )
            await self._keep_where_it_is(kept, verdict)
        if give_back:
            await self.put_back()
        return verdict.model_copy(update={"accepted_at": time.time()})

    async def _keep_where_it_is(self, kept: RouteNote, verdict: Verdict) -> None:
        route = (await insist(self.look)).route
        traffic = route.traffic if route else ALL_TO_STABLE
        told = kept.model_copy(update={"traffic": traffic, "verdict": verdict})
        await insist(lambda: self.platform.split(self.target, traffic, told, self.fence))

    async def put_back(self) -> None:
        """Where the version was put on stable itself: state what ran there before, with its configuration (R8)."""
        good = self.previous
        if self.stage.track == "stable" and good is not None:
            await insist(lambda: self.platform.deploy(self.target, "stable", good, None, self.fence, restore=True))

    async def abort(self, note: RouteNote, command: Any) -> tuple[Verdict, str]:
        """A person ends the release: the traffic goes back as after a failing verdict. Returns what that did, too."""
        verdict = self.failed(abort_sentence(command))
        # A clock of its own, so that a restart asks for no measurements of an earlier step.
        own = note if self.mine(note) else note.model_copy(update={"started_at": verdict.decided_at})
        written = await self.write(own, verdict, give_back=True)
        if written.sentence != verdict.sentence:
            return written, f"It ends, but{written.sentence.removeprefix(verdict.sentence).removeprefix(';')}."
        verdict = written
        if self.stage.track != "stable":
            return verdict, "All traffic is back on stable."
        if self.previous is None:
            return verdict, "Nothing ran before that could take the traffic: the version stays."
        return verdict, f"{self.previous.version} is being put back on stable."

    def event(self, verdict: Verdict, aborted: Any = None) -> dict[str, Any]:
        """What Airflow is told."""
        return {
            "verdict": to_json(verdict),
            "samples": [to_json(sample) for sample in self.measurer.samples],
            "notes": self.notes,
            "aborted": aborted_by(aborted) if aborted else None,
        }


async def meanwhile(watch: Watch | None, steering: Steering) -> dict[str, Any]:
    """Go on judging a stage while something else is waited for; returns the event that has to end that wait.

    :param watch: the stage whose traffic the version has; None: it has none yet, and only an abort is listened for.
    """
    if watch is None:
        command = await steering.aborted()
        await steering.say(command, "Ended the wait; nothing was changed.")
        return {"aborted": aborted_by(command)}
    note = note_of(await insist(watch.look))
    watch = watch.where(note)
    if watch is None:
        return await meanwhile(None, steering)
    if note.verdict and note.verdict.judgement == "fail":  # decided before a restart
        held = await steering.look()
        return watch.event(note.verdict, held.abort if said_abort(held.abort, note.verdict) else None)
    looked = -math.inf
    while True:
        held = await steering.look()
        if held.abort:
            verdict, effect = await watch.abort(note, held.abort)
            await steering.say(held.abort, effect)
            return watch.event(verdict, held.abort)
        failed = None
        if time.monotonic() - looked >= LOOK_SECONDS:
            looked, failed = time.monotonic(), await checked(watch, note)
        failed = failed or await watch.judge(note, math.inf, math.inf)
        if failed:
            return watch.event(await watch.write(note, failed, give_back=True))
        await steering.wait(min(watch.due(note), LOOK_SECONDS))


async def checked(watch: Watch, note: RouteNote) -> Verdict | None:
    """:meth:`Watch.check`, where a platform that is away decides nothing: what can be measured still does."""
    try:
        return await watch.check(note)
    except PlatformUnavailable as error:  # the router may answer in time all the same
        log.warning("%s Judging on.", error)
        return None


def beside(stage: Stage) -> Track | None:
    """What the version is compared with."""
    if stage.track == "stable":
        return None
    return "baseline" if stage.traffic and stage.traffic.weight("baseline") else "stable"


def note_of(observed: Observed) -> RouteNote:
    """The note on the route; an empty one where there is none."""
    return observed.route.note if observed.route else RouteNote()


def drift(observed: Observed, wanted: Traffic, track: Track) -> str:
    """Who changed what (R14), in a sentence without its full stop."""
    who = (observed.route.changed_by if observed.route else None) or "somebody"
    now = observed.weight(track)
    if now != wanted.weight(track):
        return f"{who} set the {track}'s weight to {now} %, {wanted.weight(track)} % is wanted"
    return f"{who} changed which requests go to the {track}"


def abort_sentence(command: Any) -> str:
    """The reason of a verdict that a person gave."""
    return f"{command.by} aborted it: {command.reason or 'no reason given'}"


def said_abort(command: Any, verdict: Verdict) -> bool:
    """Whether the verdict is that of a person who aborts; an event that was not told yet must name that person (R6)."""
    return command is not None and verdict.sentence.startswith(abort_sentence(command))


def passed_by(verdict: Verdict, who: str) -> Verdict:
    """The verdict as a person has it: passed, with what was known. Evidence that the person has overruled counts no more."""
    evidence = {} if verdict.judgement == "fail" else verdict.evidence
    sentence = f"{who}: {verdict.sentence or 'not judged'}"
    return verdict.model_copy(update={"judgement": "pass", "sentence": sentence, "evidence": evidence})


def needs_person(stage: Stage, verdict: Verdict) -> bool:
    """Whether a person decides what follows from the verdict (R18)."""
    todo = action(stage.analysis, verdict)
    return todo == "hold" or (todo == "rollback" and stage.wait_for_person)
