"""Stable is judged while its traffic returns: its replicas have just been started (R18)."""

from __future__ import annotations

import math
import time
from typing import Any

from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.progression.context import ReleaseContext
from release_pipelines.core.progression.measuring import Measurer
from release_pipelines.core.verdicts import stage_verdict


class ReturnJudge:
    """Judges stable beside the track that held. Only a failing verdict counts: the version has passed its stages.

    :param context: the release.
    :param beside: the track that held.
    :param analysis: how the app is judged.
    """

    def __init__(self, context: ReleaseContext, beside: Track, analysis: Analysis) -> None:
        self.context = context
        self.beside: Track = beside
        self.analysis = analysis
        self._weight: int | None = None
        self._measurer: Measurer
        self._known: Any = None
        self._seen = 0

    async def worse(self, weight: int, since: float) -> str | None:
        """How stable is worse at this weight, in a sentence without its full stop; None while it is not known to be.

        :param weight: percent of the traffic that stable has.
        :param since: Unix time in seconds since when.
        """
        context, analysis = self.context, self.analysis
        if weight != self._weight:
            beside = self.beside if weight < 100 else None
            self._measurer = Measurer(
                context.target, "stable", beside, analysis, context.open_metrics, context.open_client
            )
            self._weight, self._known, self._seen = weight, None, 0
        now = time.time()
        await self._measurer.take(context.platform, since + analysis.warm_up, now)
        samples = self._measurer.samples
        if len(samples) == self._seen:
            return None
        self._seen = len(samples)
        self._known = JUDGES.get(analysis.judge).known(analysis, samples, {}, self._known)
        verdict = stage_verdict("return", weight, analysis, samples, now, math.inf, math.inf, {}, self._known)
        return self._named(verdict.sentence) if verdict and verdict.judgement == "fail" else None

    def _named(self, sentence: str) -> str:
        """A judge calls what it compares with stable; here that is the track that held."""
        return sentence.replace("(stable:", f"({self.beside}:").replace("times stable's", f"times the {self.beside}'s")
