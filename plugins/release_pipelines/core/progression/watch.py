"""The new version in one stage: observed, judged, and its traffic given back at once when it is bad (R3 to R6, R14)."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from contextlib import suppress
from typing import Any

from release_pipelines.core.errors import FenceLost, Forbidden, PlatformError, PlatformUnavailable, TrafficStuck
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.command import Command
from release_pipelines.core.model.observation import Observed, TrackStatus
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Traffic
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.ports.router import settles_within
from release_pipelines.core.progression import waiting
from release_pipelines.core.progression.commands import abort_sentence, aborted_by
from release_pipelines.core.progression.context import ReleaseContext
from release_pipelines.core.progression.judging import Judging
from release_pipelines.core.progression.missing import MissingReplicas
from release_pipelines.core.progression.restating import Restating
from release_pipelines.core.progression.waiting import first_of, insist, within
from release_pipelines.core.progression.way_back import DIVERTED
from release_pipelines.core.sentences import utc

log = logging.getLogger(__name__)

HURRY_SECONDS = 1.0
"""Time for the newest measurements when a window has closed, in seconds; then the version is judged without them."""
ANSWER_SECONDS = 0.5
"""The same when a person ends a hold, who is answered within two seconds: the traffic has to move meanwhile, too."""
STUCK_SECONDS = 5.0
"""Time that a way back may take to get through before people are called, in seconds."""
LOOK_SECONDS = 5.0
"""Pause between two looks at replicas, weights and lease, in seconds; measurements and commands have their own."""
SHOW_SECONDS = 2.0
"""Longest time of the look that is only for people, in seconds."""


class StageWatch:
    """Observes and judges the new version in one stage, and writes what follows. It keeps its state in the note on the route.

    :param context: the release.
    :param stage: the stage.
    :param replicas: replicas that the track needs for its traffic; None: as many as are wanted there.
    :param stable_replicas: replicas that stable had before the release; None: as many as are wanted there.
    """

    def __init__(
        self, context: ReleaseContext, stage: Stage, replicas: int | None = None, stable_replicas: int | None = None
    ) -> None:
        self.context = context
        self.stage = stage
        self.replicas = replicas
        self.stable_replicas = stable_replicas
        self.traffic: Traffic = stage.traffic or ALL_TO_STABLE
        self.judging = self._judging()
        self.notes: list[str] = []
        self.restating = Restating(self._state_stable, context.artifact, stage.on_drift)
        self.restated = False
        """Somebody has put something else on stable, where the version is judged, and it was set again: not ready yet."""
        self._missing = MissingReplicas()
        self.switched = False
        self.seen: tuple[float, Observed] | None = None
        """The newest look at the platform, and its Unix time in seconds: people see its age."""
        self._wrong_answer_since: float | None = None

    def _judging(self) -> Judging:
        context = self.context
        return Judging(self.stage, context.target, context.open_metrics, context.open_client)

    def begin_again(self) -> None:
        """The stage begins anew: what was measured of something else says nothing."""
        self.judging, self.restated = self._judging(), False

    # --- observing ------------------------------------------------------------------------------------------------

    async def observe(self) -> Observed:
        """What runs now.

        :raises FenceLost: when the lease is not this release's any more. The fence is the release's, and Airflow needs a
            moment to stop a trigger whose task a person has marked.
        """
        context = self.context
        observed = await context.platform.observe(context.target)
        self.seen = time.time(), observed
        if observed.lease is None or observed.lease.fence != context.fence:
            holder = observed.lease.holder if observed.lease else "nobody"
            raise FenceLost(
                f"The lease of {context.target.app} in {context.target.environment} is held by {holder}: "
                "this release has ended or was superseded, and changes nothing any more."
            )
        context.show(observed)
        return observed

    async def show(self) -> None:
        """Let people see what runs now that the traffic has moved. No release waits for that long, or fails by it."""
        with suppress(Exception):  # whatever is in the way of looking: the traffic has moved
            await within(SHOW_SECONDS, self.observe())

    def owns(self, note: RouteNote) -> bool:
        """Whether the note is this stage's own."""
        return note.release == self.context.release and note.step == self.stage.name

    def of_note(self, note: RouteNote) -> StageWatch | None:
        """The watch for the stage that the note says, since a person may have skipped this one; None: no traffic yet."""
        if self.owns(note):
            return self
        if note.release != self.context.release or note.step is None or note.traffic is None or note.started_at is None:
            return None
        return StageWatch(self.context, self.stage.model_copy(update={"name": note.step, "traffic": note.traffic}))

    def check_step(self, observed: Observed) -> None:
        """Raise FenceLost when the release is in another step now: a person may have marked the task."""
        note, release = observed.note, self.context.release
        if note.release == release and note.step != self.stage.name:
            raise FenceLost(
                f"{release} has gone on from {self.stage.name} to {note.step}: this step changes nothing more."
            )

    async def check(self, note: RouteNote) -> Verdict | None:
        """Check replicas, lease and traffic: a failing verdict when the track died, or when drift is to abort the release.

        While the platform is unavailable this decides nothing: measurements still do.
        """
        try:
            return await self._check(note)
        except PlatformUnavailable as error:  # the router may answer in time all the same
            log.warning("%s Judging on.", error)
            return None

    async def _check(self, note: RouteNote) -> Verdict | None:
        observed, artifact, track = await self.observe(), self.context.artifact, self.stage.track
        self.check_step(observed)
        if (written := observed.note.verdict) and written.judgement == "fail" and self.owns(observed.note):
            return written  # by whoever else watches
        status = observed.track(track)
        if status.failure or status.ready == 0:
            return self.failed(status.failure or f"no replica of {artifact.version} is ready any more")
        if self.traffic.weight("baseline") and observed.track("baseline").ready == 0:
            return self.failed("no replica of the baseline, which it is compared with, is ready any more")
        if status.digest != artifact.digest:
            return await self._changed(status)
        if missing := self._look_at_capacity(observed):
            return self.failed(missing)
        if observed.route and self.owns(observed.route.note) and observed.route.traffic.same(self.traffic):
            return None
        sentence = drift(observed, self.traffic, track)
        if self.stage.on_drift == "abort":
            return self.failed(sentence)
        await self._reassert(note, sentence)
        return None

    async def _changed(self, status: TrackStatus) -> Verdict | None:
        """Somebody else has changed what the track runs: set again where it is stable (R14), which a team's own tools write, too."""
        if status.track != "stable":
            return self.failed(
                f"the {status.track} runs {status.digest or 'nothing'}, not {self.context.artifact.digest}"
            )
        return self.failed(given_up) if (given_up := await self.state_again(status)) else None

    async def state_again(self, status: TrackStatus) -> str | None:
        """State the version on stable again; a sentence without its full stop when that is given up."""
        given_up, self.restated = await self.restating.again(status), True
        self.notes += self.restating.notes[-1:] if given_up is None else []
        return given_up

    async def _state_stable(self) -> None:
        context = self.context
        await context.platform.deploy(
            context.target, "stable", context.artifact, None, context.fence, share=self.stage.share
        )

    def _look_at_capacity(self, observed: Observed) -> str | None:
        """How the version lacks replicas; what stable lacks is told. In a rolling release some are being replaced, as intended."""
        if self.stage.track == "stable":
            return None
        if news := self._missing.news_of_stable(observed.track("stable"), self.stable_replicas):
            self.notes.append(news)
            log.warning(news)
        status, weight = observed.track(self.stage.track), self.stage.weight
        missing = self._missing.of(status, self.replicas or status.wanted)
        share = f"{weight} % of the traffic" if weight else "the requests that go there"
        return f"{missing}: too few for {share}" if missing else None

    async def _reassert(self, note: RouteNote, sentence: str) -> None:
        try:
            await self.keep(note)
        except (FenceLost, Forbidden):
            raise
        except PlatformError as error:  # pods that come and go may not make the weight right now
            log.warning("Drift: %s; it could not be set again yet: %s", sentence, error)
            return
        # Airflow hears of it when the stage ends: the time stands in the sentence.
        self.notes.append(f"Drift, seen at {utc(time.time())} UTC: {sentence}; set again.")
        log.warning(self.notes[-1])

    async def check_switch(self) -> Verdict | None:
        """Ask where the traffic enters whether it goes to the new version; a failing verdict when it does not for too long."""
        version = self.context.artifact.version
        for path in [] if self.switched else self.stage.paths:
            answer = await self.context.ask_entry(self.context.target, path)
            if answer is None or not 200 <= answer.status < 300 or answer.version != version:
                self._wrong_answer_since = self._wrong_answer_since or time.monotonic()
                if time.monotonic() - self._wrong_answer_since < settles_within(self.context.target):
                    return None
                actual = f"{answer.status} from version {answer.version or 'unknown'}" if answer else "no answer"
                address = self.context.target.address(path)
                return self.failed(f"the switch did not take: {address} gives {actual}, 2xx from {version} is expected")
        self.switched = True
        return None

    # --- judging --------------------------------------------------------------------------------------------------

    async def judge(self, note: RouteNote, earliest: float, latest: float) -> Verdict | None:
        """Take the measurements that are due; the verdict, or None if it is too early for one.

        :param earliest: Unix time in seconds at which the hold may end; infinite: only a failing verdict ends it.
        :param latest: Unix time in seconds at which the hold ends.
        """
        await self.measure(note, time.time())
        return self.judging.verdict(note, earliest, latest)

    async def measure(self, note: RouteNote, until: float) -> None:
        """Take the measurements that are due up to ``until`` (Unix time in seconds)."""
        await self.judging.measurer.take(self.context.platform, self.measured_from(note), until, note.served_since)

    def measured_from(self, note: RouteNote) -> float:
        """Unix time in seconds from which on the version is measured: new replicas may be cold before."""
        return (note.started_at or time.time()) + self.stage.analysis.warm_up

    async def judge_now(self, note: RouteNote, patience: float) -> Verdict:
        """The verdict if the hold ended now.

        :param patience: time for the newest measurements, in seconds.
        """
        await first_of(self.measure(note, time.time()), asyncio.sleep(patience))
        verdict = self.judging.verdict(note, -math.inf, -math.inf)
        assert verdict is not None  # noqa: S101 - a hold that is over always has a verdict
        return verdict

    def next_measurement_in(self, note: RouteNote) -> float:
        """Seconds until the next measurement is due."""
        now, interval = time.time(), self.stage.analysis.interval
        return interval - (now - self.measured_from(note)) % interval + 0.01

    def failed(self, sentence: str, weight: int | None = None) -> Verdict:
        """A failing verdict that needs no measurement.

        :param weight: percent of the traffic that the version has; None: that of the stage.
        """
        return Verdict(
            judgement="fail",
            decided_at=time.time(),
            step=self.stage.name,
            weight=self.stage.weight if weight is None else weight,
            sentence=sentence,
        )

    def served(self, note: RouteNote) -> int:
        """Percent of the traffic that the version really had last: before a stage begins, that of the stage before."""
        if (self.owns(note) and note.started_at is not None) or self.stage.traffic is None:
            return self.stage.weight
        if note.release != self.context.release:
            return 0
        if note.verdict:
            return note.verdict.weight
        return note.traffic.weight(self.stage.track) if note.traffic else 0

    # --- writing --------------------------------------------------------------------------------------------------

    async def keep(self, note: RouteNote) -> None:
        """Write the stage's traffic with this note."""
        await self.context.split(self.traffic, note)

    async def _give_back(self, note: RouteNote) -> None:
        """Give all traffic back to stable, again and again while that cannot be written.

        :raises TrafficStuck: once it has not got through for :data:`STUCK_SECONDS`, where the release calls people.
        """
        context, since, told = self.context, time.time(), False
        while True:
            try:
                await context.platform.split(context.target, ALL_TO_STABLE, note, context.fence)
                return
            except PlatformUnavailable as error:
                log.warning("%s Trying again.", error)
                if not told and time.time() - since >= STUCK_SECONDS:
                    told = True
                    await self._tell_stuck(since, error)
            await asyncio.sleep(waiting.RETRY_SECONDS)

    async def _tell_stuck(self, since: float, error: PlatformUnavailable) -> None:
        """Go the second way back, and say that the first is closed."""
        context = self.context
        try:
            diverted = await context.platform.divert(context.target, context.fence)
        except PlatformError as problem:
            log.warning("%s", problem)
            diverted = False
        sentence = (
            f"{context.artifact.version} was to lose its traffic at {utc(since)} UTC, and the route cannot be written: {str(error).rstrip('.')}. "
            f"The traffic has not moved{f'; {DIVERTED}' if diverted else f', and the {self.stage.track} goes on getting requests'}. "
            "It is tried again every second."
        )
        await context.record("stuck", sentence)
        log.error(sentence)
        if abort := (await context.commands.state()).abort:
            await context.commands.answer(abort, sentence)
        if context.calls_people:
            raise TrafficStuck(sentence)

    async def write(self, note: RouteNote, verdict: Verdict, *, give_back: bool) -> Verdict:
        """R4: write the verdict and the traffic that follows from it in one write; only then Airflow gets the event.

        A rolling release then states on stable what ran there before. If stable cannot take the traffic, the traffic stays
        where it is: that is safer than nobody.
        """
        traffic = ALL_TO_STABLE if give_back else self.traffic
        update = {"release": self.context.release, "step": self.stage.name, "traffic": traffic, "verdict": verdict}
        decided = note.model_copy(update=update)
        try:
            await (self._give_back(decided) if give_back else self.context.split(traffic, decided))
        except (FenceLost, Forbidden, TrafficStuck):
            raise
        except PlatformError as error:
            verdict = verdict.model_copy(
                update={"sentence": f"{verdict.sentence}; the traffic stays where it is: {error}"}
            )
            route = (await insist(self.observe)).route
            current = route.traffic if route else ALL_TO_STABLE
            await self.context.split(current, decided.model_copy(update={"traffic": current, "verdict": verdict}))
        if give_back:
            await self.restore_stable()
        return verdict.model_copy(update={"accepted_at": time.time()})

    async def restore_stable(self) -> None:
        """If the version was put on stable itself: state what ran there before, with its configuration (R8)."""
        context, previous = self.context, self.context.previous
        if self.stage.track == "stable" and previous is not None:
            await insist(
                lambda: context.platform.deploy(context.target, "stable", previous, None, context.fence, restore=True)
            )

    async def abort(self, note: RouteNote, command: Command) -> dict[str, Any]:
        """A person aborts the release: the traffic goes back as after a failing verdict. Returns the event."""
        verdict = self.failed(abort_sentence(command), self.served(note))
        # A clock of its own, so that a restart asks for no measurements of an earlier step.
        own = note if self.owns(note) else note.model_copy(update={"started_at": verdict.decided_at})
        written = await self.write(own, verdict, give_back=True)
        await self.context.commands.answer(command, self._effect_of_abort(verdict, written))
        await self.show()
        return self.event(written, command)

    def _effect_of_abort(self, verdict: Verdict, written: Verdict) -> str:
        if written.sentence != verdict.sentence:
            return f"It ends, but{written.sentence.removeprefix(verdict.sentence).removeprefix(';')}."
        if self.stage.track != "stable":
            return "All traffic is back on stable."
        if self.context.previous is None:
            return "Nothing ran before that could take the traffic: the version stays."
        return f"{self.context.previous.version} is being put back on stable."

    def event(self, verdict: Verdict, abort: Command | None = None) -> dict[str, Any]:
        """The event for Airflow."""
        return {
            "verdict": to_json(verdict),
            "samples": [to_json(sample) for sample in self.judging.measurer.samples],
            "notes": self.notes,
            "aborted": aborted_by(abort) if abort else None,
        }


def drift(observed: Observed, wanted: Traffic, track: Track) -> str:
    """Who changed what (R14), in a sentence without its full stop."""
    who = (observed.route.changed_by if observed.route else None) or "somebody"
    weight = observed.weight(track)
    if weight != wanted.weight(track):
        return f"{who} set the {track}'s weight to {weight} %, {wanted.weight(track)} % is wanted"
    return f"{who} changed which requests go to the {track}"
