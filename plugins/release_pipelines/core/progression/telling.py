"""People are told once a tick what is measured in a stage, and what is still missing."""

from __future__ import annotations

import logging
import math
import time

from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.progress import MetricNow, Progress, TrackNow
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.judge import Judged
from release_pipelines.core.ports.metrics import source_of
from release_pipelines.core.progression.closing import Closing
from release_pipelines.core.progression.watch import StageWatch
from release_pipelines.core.sentences import label
from release_pipelines.core.status.series import points_of
from release_pipelines.core.verdicts import patience

log = logging.getLogger(__name__)

NOT_MEASURED = "could not measure "
"""How the sentence of a verdict begins that has no numbers."""
MOST_POINTS = 40
"""So many points of a metric are told: they are written every few seconds."""


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
        self._seen: float | None = None
        self._last: Progress | None = None

    async def tell(self, note: RouteNote, earliest: float, latest: float) -> None:
        """Tell it, where there is a measurement that was not told yet, or the clock was stopped or goes on.

        What is kept for people is also as new as the last look at the platform; the log need not have that.

        :param earliest: Unix time in seconds at which the hold may end; infinite while it is paused.
        :param latest: Unix time in seconds at which it ends.
        """
        judging = self.watch.judging
        now = (judging, judging.measurer.taken, earliest, latest, self.closing.holds)
        seen_at, observed = self.watch.seen or (None, None)
        if now != self._told or self._last is None:
            self._told = now
            self._last = self._progress(note, earliest, latest)
            log.info(self._last.sentence())
        elif seen_at == self._seen:
            return
        self._seen = seen_at
        looked = {"at": time.time(), "seen_at": seen_at, "tracks": tracks_of(observed) if observed else []}
        self._last = self._last.model_copy(update=looked)  # a look alone is no reason to judge again
        await self.watch.context.tell(self._last)

    def _progress(self, note: RouteNote, earliest: float, latest: float) -> Progress:
        stage, judged = self.watch.stage, self.watch.judging.judged(note, over=time.time() >= latest)
        verdicts = [it.verdict for it in judged]
        closing = self.closing
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
            closed=closing.standing.sentence if closing.holds and closing.standing else None,
            metrics=[self._metric(it) for it in judged],
            began_at=note.started_at,
            paused_at=note.paused_at,
            opens_at=closing.standing.opens_at if closing.holds and closing.standing else None,
            closes_at=closing.standing.closes_at if closing.standing and closing.standing.open else None,
        )

    def _metric(self, judged: Judged) -> MetricNow:
        verdict, analysis = judged.verdict, self.watch.stage.analysis
        metric = next((it for it in analysis.metrics if it.name == verdict.metric), None)  # a score is no metric
        own = [it for it in self.watch.judging.measurer.samples if it.metric == verdict.metric]
        points = points_of(own, MOST_POINTS)
        missing = verdict.sentence.startswith(NOT_MEASURED)
        return MetricNow(
            metric=verdict.metric,
            label=label(metric) if metric else verdict.metric,
            unit=source_of(metric).unit(metric) if metric else "number",
            judgement=verdict.judgement,
            value=verdict.value,
            stable=judged.stable if judged.stable is not None else last_of([it[2] for it in points]),
            limit=verdict.limit,
            measurements=verdict.measurements,
            evidence=verdict.evidence,
            threshold=judged.threshold,
            critical=verdict.critical,
            missing=verdict.sentence.removeprefix(NOT_MEASURED) if missing else None,
            sentence=verdict.sentence,
            points=points,
        )


def last_of(values: list[float | None]) -> float | None:
    """The newest number."""
    return next((it for it in reversed(values) if it is not None), None)


def tracks_of(observed: Observed) -> list[TrackNow]:
    """What runs, and who has how much of the traffic."""
    tracks: list[Track] = ["stable", *observed.beside]
    return [
        TrackNow(
            track=it,
            weight=observed.weight(it) if observed.route else None,
            ready=observed.track(it).ready,
            wanted=observed.track(it).wanted,
            version=observed.track(it).version,
            digest=observed.track(it).digest,
        )
        for it in tracks
    ]
