"""Which judge is wrong how often, and what it costs: simulated canaries, with faults of every size, at every traffic."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.operating_points import at_no_more_false_rollbacks
from benchmarks.rules import (
    ALPHA,
    BAD,
    FAULTS,
    GOOD,
    GOOD_KAYENTA,
    HOLD,
    INTERVAL,
    JUDGES,
    LIMIT,
    METRIC,
    OURS,
    RATES,
    STABLE_ERRORS,
    WEIGHTS,
    Canaries,
    Fault,
    by_evidence,
    by_points,
    decide,
    simulate,
)
from benchmarks.table import Skip, table
from release_pipelines.core.judges import _e_values as sequential
from release_pipelines.core.judges.sequential import good_enough

try:
    import numpy as np
    from scipy import stats

    from benchmarks import canaries
except ImportError as error:
    raise Skip(f"{error.name} is not installed: it comes with the `dev` group") from None

if TYPE_CHECKING:
    from benchmarks.canaries import Ints


class Result(NamedTuple):
    """What one judge makes of canaries of one kind."""

    rolled_back: int
    canaries: int
    seconds: float | None
    """Median until the rollback, where there was one."""
    badly_served: Ints

    @property
    def share(self) -> float:
        """Of the canaries that were rolled back."""
        return self.rolled_back / self.canaries

    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of that share (Clopper and Pearson 1934)."""
        return exact_interval(self.rolled_back, self.canaries)


def exact_interval(hits: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """Confidence interval of a share (Clopper and Pearson 1934)."""
    found = stats.binomtest(hits, of).proportion_ci(confidence, method="exact")
    return float(found.low), float(found.high)


def measure(rng: np.random.Generator, rate: float, fault: Fault | None) -> dict[str, Result]:
    """Every judge on the same canaries; of those without a fault Kayenta's gets the first ones."""
    found = simulate(rng, rate, BAD if fault else GOOD, fault or Fault("nothing"))
    results = {}
    for name, judge in JUDGES.items():
        few = judge is by_points and fault is None
        judged = Canaries(*(it.first(GOOD_KAYENTA) for it in found)) if few else found
        decided = decide(judge, judged)
        hits = decided[decided != canaries.NEVER]
        seconds = float(np.median(hits) + 1) * INTERVAL if len(hits) else None
        results[name] = Result(len(hits), len(decided), seconds, judged.badly_served(decided))
    return results


def compared(good: dict[str, Result], bad: list[tuple[Fault, dict[str, Result]]]) -> list[str]:
    """How ours stands beside each judge that keeps its false rollbacks under 1 % at this traffic."""
    said = []
    for name in (name for name, it in good.items() if name != OURS and it.share < 0.01):
        sums, fewer, more = [0.0, 0.0], 0, []
        for fault, results in bad:
            ours, others = results[OURS].badly_served, results[name].badly_served
            sums = [sums[0] + ours.mean(), sums[1] + others.mean()]
            saved = others - ours
            noise = 1.96 * saved.std() / math.sqrt(len(saved))
            fewer += saved.mean() > noise
            if saved.mean() < -noise:
                more.append(fault.name)
        said.append(
            f"{name}: {sums[1]:,.0f} requests badly served over all faults, ours {sums[0]:,.0f}; surely fewer in {fewer} of {len(bad)} faults, "
            f"surely more in {', '.join(more) or 'none'}"
        )
    return said or ["none"]


def the_judges(rng: np.random.Generator) -> None:
    """Tables of all judges, at every traffic."""
    for rate in RATES:
        good = measure(rng, rate, None)
        bad = [(fault, measure(rng, rate, fault)) for fault in FAULTS]
        rows = [["as good as stable: false rollbacks", *(f"{100 * it.share:.2f} %" for it in good.values())]]
        intervals = [it.interval() for it in good.values()]
        rows.append(["  95 % confidence", *(f"{100 * low:.2f}-{100 * high:.2f} %" for low, high in intervals)])
        for fault, results in bad:
            cells = (
                f"{100 * it.share:.0f} % {f'{it.seconds:.0f} s' if it.seconds else '-'} {it.badly_served.mean():,.1f}"
                for it in results.values()
            )
            rows.append([fault.name, *cells])
        table(
            f"{rate} requests/s, steps of {', '.join(map(str, WEIGHTS))} % for {HOLD} s each: rolled back, median seconds until then, "
            "badly served requests per canary",
            ["", *JUDGES],
            rows,
        )
        print("  Others with false rollbacks under 1 % here:")
        for line in compared(good, bad):
            print(f"    {line}")


def other_errors(rng: np.random.Generator) -> None:
    """The same with fewer and more errors on stable: how near it is to the limit makes or breaks a threshold."""
    rows = []
    for stable_errors in (0.001, 0.005):
        for rate in RATES:
            good = simulate(rng, rate, GOOD_KAYENTA, Fault("nothing"), stable_errors)
            bad = [simulate(rng, rate, BAD // 4, fault, stable_errors) for fault in FAULTS if fault.errors > 1]
            cells = []
            for judge in JUDGES.values():
                wrong = (decide(judge, good) != canaries.NEVER).mean()
                served = sum(it.badly_served(decide(judge, it)).mean() for it in bad)
                cells.append(f"{100 * wrong:.1f} %  {served:,.0f}")
            rows.append([f"stable {100 * stable_errors:g} %, {rate}/s", *cells])
    table(
        f"Other error rates of stable (limit {100 * LIMIT:g} %): false rollbacks, and badly served requests over errors x2, x5, x10",
        ["", *JUDGES],
        rows,
    )


def continuous_looking(rng: np.random.Generator) -> None:
    """False alarms of the default judge, looked at after every interval, at the edge of what it tolerates, too."""
    rows = []
    for name, odds in (("as good as stable", 1.0), ("at the tolerance", METRIC.tolerance)):
        for rate in RATES:
            total, stable_total = canaries.traffic(rng, GOOD, rate, WEIGHTS, HOLD // INTERVAL, INTERVAL)
            share = odds * STABLE_ERRORS / (1 + (odds - 1) * STABLE_ERRORS)
            decided = [
                by_evidence(canaries.events(rng, total, stable_total, share, STABLE_ERRORS)) for _ in ("errors", "slow")
            ]
            alarms = int((np.minimum(*decided) != canaries.NEVER).sum())
            low, high = exact_interval(alarms, GOOD)
            rows.append([f"{name}, {rate}/s", f"{alarms} of {GOOD:,}", f"{100 * low:.3f}-{100 * high:.3f} %"])
    table(
        f"False alarms of the sequential judge, looked at {len(WEIGHTS) * HOLD // INTERVAL} times (alpha {100 * ALPHA:g} %)",
        ["", "alarms", "95 % confidence"],
        rows,
    )


def holds(rng: np.random.Generator) -> None:
    """How long the steps of a good release take with holds of one length, and between a least and a most."""
    least, most, releases = 60, 600, 50
    rows = []
    for rate, name in ((RATES[-1], "busy"), (RATES[0], "quiet")):
        total, stable_total = canaries.traffic(rng, releases, rate, WEIGHTS, most // INTERVAL, INTERVAL)
        counts = canaries.events(rng, total, stable_total, STABLE_ERRORS, STABLE_ERRORS)
        taken = [[0.0] * len(WEIGHTS) for _ in range(releases)]
        for release, steps in enumerate(taken):
            state = sequential.State()
            for step in range(len(WEIGHTS)):
                for tick in range(most // INTERVAL):
                    now = [int(it[release, step * most // INTERVAL + tick]) for it in counts]
                    state = sequential.add(state, sequential.Counts(*now), tolerance=METRIC.tolerance)
                    steps[step] = (tick + 1) * INTERVAL
                    if steps[step] >= least and good_enough(METRIC, state):
                        break
        medians = [f"{statistics.median(steps[n] for steps in taken):.0f} s" for n in range(len(WEIGHTS))]
        rows.append([f"{name}, {rate}/s", *medians, f"{statistics.median(map(sum, taken)):.0f} s"])
    fixed = [f"{HOLD} s"] * len(WEIGHTS)
    table(
        f"A good release with holds of {{min: {least} s, max: {most} s}}, median seconds",
        ["", *(f"{weight} %" for weight in WEIGHTS), "all steps"],
        [["fixed", *fixed, f"{HOLD * len(WEIGHTS)} s"], *rows],
    )


def main() -> None:
    """Print the tables."""
    rng = np.random.default_rng(20261125)
    at_no_more_false_rollbacks(rng)
    continuous_looking(rng)
    the_judges(rng)
    other_errors(rng)
    holds(rng)
