"""Judges: they turn measurements into verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from release_pipelines.core.seams import Seam

if TYPE_CHECKING:
    from release_pipelines.core.model.analysis import Analysis, Metric
    from release_pipelines.core.model.hold import Hold
    from release_pipelines.core.model.measurement import Sample
    from release_pipelines.core.model.mistake import Mistake
    from release_pipelines.core.model.verdict import MetricVerdict


class Judged(NamedTuple):
    """One metric's verdict so far."""

    verdict: MetricVerdict
    sure: bool = False
    """Whether the evidence is good enough for a hold to end early."""
    state: dict[str, Any] | None = None
    """State with which the next stage continues; small JSON, since it is kept with the route."""
    undecided: bool = False
    """Whether it was measured, and more numbers may change the verdict: a stage waits longer for them than for the first ones."""
    stable: float | None = None
    """The number of what the version is compared with, beside the verdict's ``value``; None: nothing, or none."""
    threshold: float | None = None
    """Where the verdict's ``evidence`` decides; None: it has none, or decides otherwise."""


class Evidence(NamedTuple):
    """Evidence against a version over time: Unix times in seconds, and e-values as natural logarithms."""

    against_stable: list[tuple[float, float]]
    against_limit: list[tuple[float, float]]
    threshold: float
    """The e-value, as natural logarithm, above which the version fails."""


@runtime_checkable
class Judge(Protocol):
    """Turns the samples of a stage into verdicts. The defaults are those of a judge that needs nothing special.

    Nothing here asks the time or the network: the same samples give the same verdicts after a restart.
    """

    exact_counts: ClassVar[bool] = False
    """Counts are what raw counters grew by since the tick before, where a source has such counters."""
    compares: ClassVar[bool] = False
    """The version is compared with the other track, so gauges are measured there, too."""
    ends_early: ClassVar[bool] = False
    """A hold may end between its shortest and its longest time."""

    def verdicts(
        self,
        analysis: Analysis,
        samples: list[Sample],
        evidence: Mapping[str, Any],
        weight: int,
        *,
        over: bool = False,
        known: Any = None,
    ) -> list[Judged]:
        """Every metric's verdict so far.

        :param samples: all samples of this stage, in any order.
        :param evidence: states of the stages before, by metric.
        :param weight: percent of the traffic that the new version has.
        :param over: whether the stage's hold is over.
        :param known: what :meth:`known` made of some of the samples already; the same comes out without it, only later.
        """

    def known(self, analysis: Analysis, samples: list[Sample], evidence: Mapping[str, Any], known: Any) -> Any:
        """The judge's state after these samples, so that each of them is judged once; None: the judge keeps none.

        :param known: the state that this method returned for earlier samples; None: there is none yet.
        """
        return None

    def counts_once(self, *, compared: bool) -> bool:
        """Whether every event belongs to one sample only; else the windows of samples may overlap.

        :param compared: whether there is another track to compare with.
        """
        return False

    def wants_baseline(self, analysis: Analysis) -> bool:
        """Whether a track of the old version is started together with the new one."""
        return False

    def check(self, metrics: Sequence[Metric], settings: Mapping[str, Any]) -> None:
        """Check an analysis by itself.

        :param settings: the analysis' other values, as far as they are valid.
        :raises ValueError: "… is expected" when these metrics cannot be judged so.
        """
        return

    def mistakes(
        self, where: str, analysis: Analysis, metrics: Sequence[Metric], hold: Hold, *, compared: bool
    ) -> Iterator[Mistake]:
        """The mistakes in judging one stage by this analysis.

        :param where: the analysis' path in the file.
        :param metrics: those that can be measured.
        :param compared: whether there is another track to compare with.
        """
        if hold.min < hold.max and not self.ends_early:
            yield (
                f"{where}.judge",
                f"`{analysis.judge}`",
                "`sequential`: only that judge ends a hold between `min` and `max`",
            )

    def without(self, metric: Metric) -> Metric | None:
        """The metric in place of one that cannot be measured; None: it is left out. By default it decides nothing."""
        return metric.model_copy(update={"critical": False})

    def evidence(self, analysis: Analysis, metric: Metric, samples: Sequence[Sample], state: object) -> Evidence | None:
        """Evidence of one metric over time, for a plot; None where there is none.

        :param state: the state at the end of the stage before.
        """
        return None


JUDGES: Seam[Judge] = Seam(
    "judge", "release_pipelines.core.judges", Judge, first=("sequential", "threshold", "kayenta")
)
