"""People are told once a tick what is measured in a stage, and what is still missing."""

from __future__ import annotations

import logging
import math
import time

from release_pipelines.core.model.progress import Progress
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.progression.closing import Closing
from release_pipelines.core.progression.watch import StageWatch
from release_pipelines.core.verdicts import patience

log = logging.getLogger(__name__)

NOT_MEASURED = "could not measure "
"""How the sentence of a verdict begins that has no numbers."""


class Telling:
    """Says in the task's log, and to whoever keeps it, how far a stage has come.

    :param watch: the stage.
    :param traffic: the stage's traffic in words.
    :param closing: what the calendars say.
    """

    def __init__(self, watch: StageWatch, traffic: str, closing: Closing) -> None:
        self.watch = watch
        self.closing = closing
        self.traffic = traffic
        self._told: object = None

    async def tell(self, note: RouteNote, earliest: float, latest: float) -> None:
        """Tell it, where there is a measurement that was not told yet, or the clock was stopped or goes on.

        :param earliest: Unix time in seconds at which the hold may end; infinite while it is paused.
        :param latest: Unix time in seconds at which it ends.
        """
        judging = self.watch.judging
        now = (judging, judging.measurer.taken, earliest, latest, self.closing.holds)
        if now == self._told:
            return
        self._told = now
        progress = self._progress(note, earliest, latest)
        log.info(progress.sentence())
        await self.watch.context.tell(progress)

    def _progress(self, note: RouteNote, earliest: float, latest: float) -> Progress:
        stage, judged = self.watch.stage, self.watch.judging.judged(note, over=time.time() >= latest)
        verdicts = [it.verdict for it in judged]
        return Progress(
            at=time.time(),
            environment=self.watch.context.target.environment,
            step=stage.name,
            weight=stage.weight,
            traffic=self.traffic,
            measured=[it.sentence for it in verdicts if not it.sentence.startswith(NOT_MEASURED)],
            missing=[it.sentence.removeprefix(NOT_MEASURED) for it in verdicts if it.sentence.startswith(NOT_MEASURED)],
            earliest=earliest if math.isfinite(earliest) else None,
            latest=latest if math.isfinite(latest) else None,
            patience=patience(stage.analysis, stage.hold.max, judged),
            closed=self.closing.standing.sentence if self.closing.holds and self.closing.standing else None,
        )
