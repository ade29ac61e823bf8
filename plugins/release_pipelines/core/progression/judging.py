"""What the judge makes of a stage's measurements: asked once for the same ones, since a thousand triggers look once a second."""

from __future__ import annotations

import time

from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.ports.judge import JUDGES, Judged
from release_pipelines.core.ports.metrics import OpenClient, OpenMetrics
from release_pipelines.core.progression.measuring import Measurer
from release_pipelines.core.verdicts import verdict_of, waits_until


class Judging:
    """Judges a stage, from its beginning on.

    :param stage: the stage.
    :param target: the app in its environment.
    :param open_metrics: opens the metrics service of the target.
    :param open_client: opens other services that sources ask; None: nobody does.
    """

    def __init__(
        self, stage: Stage, target: Target, open_metrics: OpenMetrics, open_client: OpenClient | None = None
    ) -> None:
        self.stage = stage
        self.measurer = Measurer(target, stage.track, compared_with(stage), stage.analysis, open_metrics, open_client)
        self._known: object = None
        """What the judge has made of the samples so far, from which it goes on."""
        self._judged: tuple[tuple[int, bool], list[Judged]] | None = None
        self._undecided: tuple[int, list[bool]] | None = None

    def judged(self, note: RouteNote, *, over: bool) -> list[Judged]:
        """The judge's verdict on each metric so far.

        :param over: whether the hold is over.
        """
        now = (self.measurer.taken, over)
        if self._judged and self._judged[0] == now:
            return self._judged[1]
        analysis, samples = self.stage.analysis, self.measurer.samples
        judge = JUDGES.get(analysis.judge)
        self._known = judge.known(analysis, samples, note.evidence, self._known)
        judged = judge.verdicts(analysis, samples, note.evidence, self.stage.weight, over=over, known=self._known)
        self._judged = (now, judged)
        return judged

    def verdict(self, note: RouteNote, earliest: float, latest: float) -> Verdict | None:
        """The stage's verdict; None: go on measuring, at once where nothing is new since it was None.

        :param earliest: Unix time in seconds at which the hold may end; infinite: only a failing verdict ends it.
        :param latest: Unix time in seconds at which the hold ends.
        """
        stage, analysis, now = self.stage, self.stage.analysis, time.time()
        ends = (earliest, latest, *waits_until(latest, analysis, stage.hold.max))
        known = (self.measurer.taken, [now >= it for it in ends])
        if known == self._undecided:
            return None
        judged = self.judged(note, over=now >= latest)
        verdict = verdict_of(stage.name, stage.weight, analysis, judged, now, earliest, latest, hold=stage.hold.max)
        self._undecided = None if verdict else known
        return verdict


def compared_with(stage: Stage) -> Track | None:
    """The track that the new version is compared with; None: none."""
    if stage.track == "stable":
        return None
    return "baseline" if stage.traffic and stage.traffic.weight("baseline") else "stable"
