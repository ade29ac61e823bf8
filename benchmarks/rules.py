"""Simulated canaries, with faults of every size, and what each judge makes of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.table import Skip
from release_pipelines.core.model.analysis import Analysis, KayentaSettings, Metric

try:
    import numpy as np

    from benchmarks import canaries
    from benchmarks.canaries import Counts
except ImportError as error:
    raise Skip(f"{error.name} is not installed: it comes with the `dev` group") from None

if TYPE_CHECKING:
    from benchmarks.canaries import Ints

RATES = (5, 20, 100, 500)
"""Requests per second to canary and stable together."""
WEIGHTS, HOLD, INTERVAL = [5, 25, 50], 300, 10
"""The default steps, and how often they are looked at (seconds)."""
STABLE_ERRORS = 0.003
"""At 5 requests/s that is where "at most 1 % in each minute" takes 97 % of good versions for bad ones."""
LATENCY_MEDIAN, LATENCY_SIGMA, SLOWER_THAN = 0.12, 0.52, 0.5
"""Latencies are lognormal (seconds): 0.3 % of stable's requests are slow, too."""
LIMIT = 0.01
GOOD, GOOD_KAYENTA, BAD = 20_000, 2_000, 1_000
"""So many canaries as good as stable (Kayenta's judge gets fewer: it takes longest); so many of each fault, the same for all."""
MINUTE = 60 // INTERVAL

METRIC = Metric(name="errors", source="errors", limit=LIMIT)
KAYENTA = KayentaSettings()
ANALYSIS = Analysis(metrics=[METRIC])
ALPHA = ANALYSIS.alpha
OURS = "sequential"


class Fault(NamedTuple):
    """How a version is worse than stable."""

    name: str
    errors: float = 1.0
    """Times stable's."""
    latency: float = 1.0
    """Every request takes so many times as long."""


FAULTS = [
    *(Fault(f"errors x{times}", errors=times) for times in (2, 5, 10)),
    *(Fault(f"latency x{times}", latency=times) for times in (1.2, 1.5, 2)),
]


class Canaries(NamedTuple):
    """The two metrics of many canaries."""

    errors: Counts
    slow: Counts

    def badly_served(self, decided: Ints) -> Ints:
        """Requests of each canary that failed or were slow until it was rolled back, or had passed all steps."""
        bad = (self.errors.bad + self.slow.bad).cumsum(axis=1)
        return bad[np.arange(len(bad)), np.minimum(decided, bad.shape[1] - 1)]


def simulate(
    rng: np.random.Generator, rate: float, number: int, fault: Fault, stable_errors: float = STABLE_ERRORS
) -> Canaries:
    """Canaries of one kind."""
    total, stable_total = canaries.traffic(rng, number, rate, WEIGHTS, HOLD // INTERVAL, INTERVAL)
    errors = canaries.events(rng, total, stable_total, stable_errors * fault.errors, stable_errors)
    slow = canaries.events(rng, total, stable_total, slow_share(fault.latency), slow_share(1))
    return Canaries(errors, slow)


def slow_share(times: float) -> float:
    """Share of requests slower than the bound when every one takes ``times`` as long."""
    return 1 - statistics.NormalDist().cdf(math.log(SLOWER_THAN / LATENCY_MEDIAN / times) / LATENCY_SIGMA)


# --- judges: the tick at which each canary is rolled back ---------------------------------------------------------


def by_evidence(counts: Counts) -> Ints:
    """The product's default: e-values after every interval, alpha shared by two tests of two metrics."""
    against_stable, against_limit = canaries.evidence(counts, METRIC.tolerance, LIMIT)
    return canaries.first(np.maximum(against_stable, against_limit) > -math.log(ALPHA / 4))


def by_minute(failure_limit: int, *, in_a_row: bool = True) -> Callable[[Counts], Ints]:
    """The share of bad requests in each minute against the limit; so many failures are tolerated."""

    def judge(counts: Counts) -> Ints:
        bad, total = (it.reshape(len(it), -1, MINUTE).sum(axis=2) for it in (counts.bad, counts.total))
        failed, measured = bad > LIMIT * total, total > 0
        failures = np.zeros(len(failed), dtype=int)
        hits = np.zeros(failed.shape, dtype=bool)
        for minute in range(failed.shape[1]):
            now = failures + failed[:, minute]
            passed = measured[:, minute] & ~failed[:, minute]
            failures = np.where(passed & in_a_row, 0, now)
            hits[:, minute] = failures > failure_limit
        decided = canaries.first(hits)
        return np.where(decided == canaries.NEVER, decided, (decided + 1) * MINUTE - 1)

    return judge


def by_points(counts: Counts) -> Ints:
    """Kayenta's judge, which begins anew in every step: the share in each interval, canary against stable."""
    with np.errstate(invalid="ignore", divide="ignore"):
        canary, baseline = counts.bad / counts.total, counts.stable_bad / counts.stable_total
    ticks = HOLD // INTERVAL
    decided = np.full(len(canary), canaries.NEVER)
    for start in range(0, len(WEIGHTS) * ticks, ticks):
        for end in range(start + KAYENTA.min_points, start + ticks + 1):
            here = np.flatnonzero(decided == canaries.NEVER)
            x, y = canary[here, start:end], baseline[here, start:end]
            enough = ((~np.isnan(x)).sum(axis=1) >= KAYENTA.min_points) & (
                (~np.isnan(y)).sum(axis=1) >= KAYENTA.min_points
            )
            here, x, y = here[enough], x[enough], y[enough]
            if len(here):
                decided[here[canaries.high(x, y, KAYENTA.confidence, KAYENTA.tolerance)]] = end - 1
    return decided


JUDGES: dict[str, Callable[[Counts], Ints]] = {
    OURS: by_evidence,
    "minute, 0 failures": by_minute(0),
    "minute, 2 in a row": by_minute(2),
    "counter of 5": by_minute(4, in_a_row=False),
    "Mann-Whitney": by_points,
}


def decide(judge: Callable[[Counts], Ints], found: Canaries) -> Ints:
    """One bad metric is enough."""
    return np.minimum(judge(found.errors), judge(found.slow))
