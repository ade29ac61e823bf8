"""Apps that were released together are watched together: each by its own analysis, and the first that fails ends it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.progression.measuring import Measurer
from release_pipelines.core.verdicts import action, stage_verdict

if TYPE_CHECKING:
    from release_pipelines.core.ports.metrics import OpenClient, OpenMetrics
    from release_pipelines.core.ports.platform import Platform

STEP = "shared_bake"
"""The step's name in the verdicts of the apps."""


@dataclass
class Member:
    """One app that is watched.

    :param target: the app in its environment.
    :param digest: what it has to run.
    :param analysis: how it is judged.
    :param verdict: what its measurements amount to; None: not known yet.
    """

    target: Target
    digest: str
    analysis: Analysis
    open_metrics: OpenMetrics
    open_client: OpenClient | None = None
    verdict: Verdict | None = None
    _measurer: Measurer | None = field(default=None, repr=False)

    @property
    def samples(self) -> list[Sample]:
        """All samples so far."""
        return self._measurer.samples if self._measurer else []

    async def look(self, platform: Platform, started_at: float, until: float) -> str | None:
        """What speaks against the app, in a sentence without its full stop; None: nothing so far.

        :param started_at: Unix time in seconds at which the watch began.
        :param until: Unix time in seconds at which it ends.
        """
        observed = await platform.observe(self.target)
        stable = observed.track("stable")
        if stable.digest != self.digest:
            return f"{self.target.app} runs {stable.named} now, and not what this train released"
        if stable.ready == 0:
            return f"{self.target.app} has no replica that is ready: {stable.failure or stable.waiting or 'nobody knows why'}"
        if self._measurer is None:
            self._measurer = Measurer(self.target, "stable", None, self.analysis, self.open_metrics, self.open_client)
        now = time.time()
        await self._measurer.take(platform, started_at, now)
        self.verdict = stage_verdict(
            STEP, 100, self.analysis, self.samples, now, until, until, {}, hold=until - started_at
        )
        if self.verdict is not None and action(self.analysis, self.verdict) == "rollback":
            return f"{self.target.app}: {self.verdict.sentence.rstrip('.')}"
        return None
