"""Which judge is wrong how often, and what it costs: simulated canaries, with faults of every size, at every traffic."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.table import Skip, table
from release_pipelines.core.judges import _e_values as sequential
from release_pipelines.core.judges.sequential import good_enough
from release_pipelines.core.model.analysis import Analysis, KayentaSettings, Metric

try:
    import numpy as np
    from scipy import stats

    from benchmarks import canaries
    from benchmarks.canaries import Counts
except ImportError as error:
    raise Skip(f"{error.name} is not installed: it comes with the `dev` group") from None

if TYPE_CHECKING:
    from benchmarks.canaries import Floats, Ints

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
MOSTLY_WRONG = 0.5
"""Share of good versions that a rule takes for bad ones: with more than that nobody can release."""

METRIC = Metric(name="errors", source="errors", limit=LIMIT)
KAYENTA = KayentaSettings()
ANALYSIS = Analysis(metrics=[METRIC])
ALPHA = ANALYSIS.alpha
ALPHAS = np.geomspace(0.00001, 3.99, 80)
"""Finely enough to meet a rule at its own false rollbacks. As `alpha` less than 0.5 may be written; with 4, four tests would
take the first bad request for a bad version."""
PATIENCE = int(ANALYSIS.undecided_patience(HOLD))
"""What is over its limit by chance holds on for so long, in seconds."""
HOUR = 3600 // INTERVAL
"""Rules are compared over so many intervals from the start: a version that has passed sooner serves everybody for the rest."""
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


class Held(NamedTuple):
    """Canaries whose steps hold on while a metric is over its limit, or its numbers speak against them, as the product does."""

    evidence: Floats
    """Greatest natural logarithm of an e-value after each tick."""
    given_up: Ints
    """The tick at which patience ended."""
    badly_served: Ints
    """Requests that failed or were slow up to each tick, within the hour."""
    after: Ints
    """Those of the rest of the hour, if it passed."""
    taken: Ints
    """Ticks that its steps took."""

    def decided(self, alpha: float) -> Ints:
        """The tick of each rollback, with alpha shared by two tests of two metrics."""
        return np.minimum(canaries.first(self.evidence > -math.log(alpha / 4)), self.given_up)

    def served(self, decided: Ints) -> Ints:
        """Requests of each canary that failed or were slow within the hour."""
        until = self.badly_served[np.arange(len(decided)), np.minimum(decided, self.badly_served.shape[1] - 1)]
        return until + np.where(decided == canaries.NEVER, self.after, 0)


def after_passing(rng: np.random.Generator, rate: float, errors: float, taken: Ints) -> Ints:
    """Requests that fail or are slow in the rest of the hour, when a version serves everybody.

    :param errors: times stable's.
    :param taken: ticks that its steps took.
    """
    rest = np.maximum(0, HOUR - taken) * INTERVAL * rate
    return rng.poisson(rest * (STABLE_ERRORS * errors + slow_share(1)))


def held_on(rng: np.random.Generator, rate: float, number: int, errors: float) -> Held:
    """Canaries of one kind in steps that are as long as they take.

    :param errors: times stable's.
    """
    hold, ticks = HOLD // INTERVAL, (HOLD + PATIENCE) // INTERVAL
    total, stable_total = canaries.traffic(rng, number, rate, WEIGHTS, ticks, INTERVAL)
    found = [
        canaries.events(rng, total, stable_total, share * times, share)
        for share, times in ((STABLE_ERRORS, errors), (slow_share(1), 1.0))
    ]
    tests = [canaries.Running(number, METRIC.tolerance, LIMIT) for _ in found]
    used, evidence = np.zeros(total.shape, dtype=bool), np.full(total.shape, -math.inf)
    given_up, on = np.full(number, canaries.NEVER), np.ones(number, dtype=bool)
    for start in range(0, total.shape[1], ticks):
        waits = on.copy()
        for tick in range(start, start + ticks):
            if tick >= start + hold:
                waits &= np.any([it.undecided for it in tests], axis=0)
            here = np.flatnonzero(waits)
            if not len(here):
                break
            used[here, tick] = True
            for test, counts in zip(tests, found, strict=True):
                test.add(here, Counts(*(part[here, tick] for part in counts)))
            evidence[here, tick] = np.maximum(*(it.evidence[here] for it in tests))
        waits &= np.any([it.over for it in tests], axis=0)
        given_up[waits] = start + ticks - 1
        on &= ~waits
    bad = np.where(used & (used.cumsum(axis=1) <= HOUR), sum(counts.bad for counts in found), 0)
    taken = used.sum(axis=1)
    return Held(evidence, given_up, bad.cumsum(axis=1), after_passing(rng, rate, errors, taken), taken)


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


# --- tables -------------------------------------------------------------------------------------------------------


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


def at_no_more_false_rollbacks(rng: np.random.Generator) -> None:
    """Ours beside each rule, at the rule's own false rollbacks.

    A coin decides between the greatest alpha at which ours is wrong no more often than the rule and the next one, and beyond
    the last one to release nothing, which serves nobody badly: a coin between two tests makes every test on the line that joins
    them (the convex hull of Provost and Fawcett 2001, "Robust Classification for Imprecise Environments"). A rule that is wrong
    for most good versions is no test of anything; who wants it has it as the judge `threshold`.
    """
    rows, taken = [], []
    for rate in RATES:
        good, held = simulate(rng, rate, GOOD_KAYENTA, Fault("nothing")), held_on(rng, rate, GOOD_KAYENTA, 1.0)
        ours = {alpha: (held.decided(alpha) != canaries.NEVER).mean() for alpha in ALPHAS}
        seconds = held.taken[held.decided(ALPHA) == canaries.NEVER] * INTERVAL
        taken.append(f"{rate}/s: {seconds.mean():,.0f} s, {np.percentile(seconds, 95):,.0f} s for one of twenty")
        rules = {name: (decide(it, good) != canaries.NEVER).mean() for name, it in JUDGES.items() if name != OURS}
        for times in (1.5, 2, 5):
            found, held = simulate(rng, rate, BAD, Fault("", errors=times)), held_on(rng, rate, BAD, times)
            for name, false in rules.items():
                alphas = [alpha for alpha in ALPHAS if ours[alpha] <= false]
                decided = decide(JUDGES[name], found)
                passed = after_passing(rng, rate, times, np.full(BAD, len(WEIGHTS) * HOLD // INTERVAL))
                theirs = found.badly_served(decided) + np.where(decided == canaries.NEVER, passed, 0)
                cells = [f"{100 * false:.2f} %", "-", f"{theirs.mean():,.1f}", "-", "no alpha is so rarely wrong"]
                if alphas:
                    below, above = alphas[-1], next((it for it in ALPHAS if it > alphas[-1]), None)
                    coin = (false - ours[below]) / ((ours[above] if above else 1.0) - ours[below])
                    sooner = held.served(held.decided(above)) if above else 0
                    served = np.where(rng.random(BAD) < coin, sooner, held.served(held.decided(below)))
                    noise = 1.96 * math.sqrt((served.var() + theirs.var()) / BAD)
                    more = served.mean() - theirs.mean()
                    said = "more" if more > noise else "fewer" if more < -noise else "as many"
                    said += ", and the rule is wrong for most good versions" if false > MOSTLY_WRONG else ""
                    of_ours = f"{100 * ours[below]:.2f} % ({below:.2g}) + {100 * coin:.2g} %"
                    cells = [f"{100 * false:.2f} %", of_ours, f"{theirs.mean():,.1f}", f"{served.mean():,.1f}", said]
                rows.append([f"{rate}/s, errors x{times:g}, {name}", *cells])
    table(
        f"Ours holds on for {PATIENCE} s where numbers prove nothing: false rollbacks, and requests badly served within an hour per canary, at no more false "
        "rollbacks",
        ["", "false", "ours (alpha) + coin", "badly served", "ours", "95 %"],
        rows,
    )
    print(f"  Steps of good versions take, of {len(WEIGHTS) * HOLD} s: {'; '.join(taken)}.")


def main() -> None:
    """Print the tables."""
    rng = np.random.default_rng(20261125)
    at_no_more_false_rollbacks(rng)
    continuous_looking(rng)
    the_judges(rng)
    other_errors(rng)
    holds(rng)
