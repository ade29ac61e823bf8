"""As long as a version has traffic somebody judges it, also where no task of its release does: in a DAG that is paused, in a full
pool, after a task was cleared."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn

from release_pipelines.core.errors import FenceLost, PlatformError
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.progression.context import ReleaseContext
from release_pipelines.core.progression.waiting import first_of, insist
from release_pipelines.core.progression.watch import StageWatch

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""Pause between two looks whether somebody has to stand in, in seconds."""
YIELD_SECONDS = 0.1
"""Time until the release's own loop, which has begun, is left alone, in seconds."""

_judged: Counter[str] = Counter()


@contextmanager
def judging(release: str) -> Iterator[None]:
    """Whoever judges a release, or decides about it, says so: nobody stands in meanwhile in this process."""
    _judged[release] += 1
    try:
        yield
    finally:
        _judged[release] -= 1
        if not _judged[release]:
            del _judged[release]


class StandIn:
    """Judges the version in the stage that the note names, while no other loop of this process works for the release.

    Two that judge at once, in two triggerers, do no harm: they measure at the same absolute times, and a failing verdict takes the
    traffic back, whoever writes it.

    :param context: the release.
    :param stages: its judged stages, by name.
    """

    def __init__(self, context: ReleaseContext, stages: Mapping[str, Stage]) -> None:
        self.context = context
        self.stages = stages

    async def run(self) -> NoReturn:
        """Stand in whenever it is needed; never ends by itself."""
        while True:
            if not _judged[self.context.release]:
                await first_of(self._judge(), self._relieved())
            await asyncio.sleep(LOOK_SECONDS)

    async def _relieved(self) -> None:
        while True:
            await asyncio.sleep(YIELD_SECONDS)
            if _judged[self.context.release]:
                return

    async def _judge(self) -> None:
        """Judge until the version fails, or the stage needs nobody here any more. An abort is the heartbeat's."""
        observed = await self._observe()
        stage = unwatched_stage(observed, self.context, self.stages)
        if stage is None:
            return
        log.info("%s: no task judges %s now, this does.", stage.name, self.context.artifact.version)
        watch, note = StageWatch(self.context, stage), observed.note
        try:
            while unwatched_stage(await self._observe(), self.context, self.stages) is stage:
                verdict = await watch.check(note) or await watch.judge(note, math.inf, math.inf)
                # Measuring may have taken a while: stable may be about to be replaced.
                if verdict and unwatched_stage(await self._observe(), self.context, self.stages) is stage:
                    await self._take_back(watch, note, verdict)
                    return
                await asyncio.sleep(min(watch.next_measurement_in(note), LOOK_SECONDS))
        except FenceLost as error:  # the release has gone on
            log.info("%s", error)
        except PlatformError as error:
            log.warning("%s Looking again.", error)

    async def _observe(self) -> Observed:
        return await insist(lambda: self.context.platform.observe(self.context.target))

    async def _take_back(self, watch: StageWatch, note: RouteNote, verdict: Verdict) -> None:
        written = await watch.write(note, verdict, give_back=True)
        sentence = f"{watch.stage.name}, while no task of the release ran: {written.sentence}."
        await self.context.record("taken_back", sentence)


def unwatched_stage(observed: Observed, context: ReleaseContext, stages: Mapping[str, Stage]) -> Stage | None:
    """The stage whose traffic the version has, if it can be taken back now; None where there is nothing to judge.

    A stage that has failed is not judged again. Nor is one whose old version is being replaced: it could not take the traffic (R18).
    """
    note, stable = observed.note, observed.track("stable")
    stage = stages.get(note.step or "")
    if stage is None or note.release != context.release or note.started_at is None or note.done:
        return None
    if note.verdict and note.verdict.judgement == "fail":
        return None
    if observed.lease is None or observed.lease.fence != context.fence or observed.route is None:
        return None
    if stage.track == "stable":
        known = context.previous is not None and context.previous.digest != context.artifact.digest
        return stage if known and stable.digest == context.artifact.digest else None
    whole = stable.ready > 0 and stable.updated == stable.ready and stable.digest != context.artifact.digest
    return stage if whole and observed.route.traffic.reaches(stage.track) else None
