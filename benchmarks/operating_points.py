"""The product's judge beside each fixed rule, at exactly that rule's false rollbacks.

A judge is a curve: each `alpha` is an operating point, with its share of good versions that it takes back. A fixed rule is one point. Two
judges can be compared only where they are wrong equally often about good versions; where none of our points is, a coin between the two
neighbouring ones makes one (Neyman and Pearson 1933: a randomised test; Provost and Fawcett 2001, "Robust Classification for Imprecise
Environments", Machine Learning 42: the line between two points of a ROC curve is reached so). Both points judge every simulated canary, so
the mean has no noise of the coin; the 95 % interval is that of as many releases as are simulated, each with its own coin: by the variance
of the mixture, which holds the spread of both points and that between them. Beyond the ends of the curve stand the two that need no numbers:
to take nothing back, and to release nothing.

A rule that is wrong for most good versions is no test of anything. Who wants it has it as `judge: threshold`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.rules import (
    ANALYSIS,
    BAD,
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
    Fault,
    decide,
    simulate,
    slow_share,
)
from benchmarks.table import Skip, table

try:
    import numpy as np

    from benchmarks import canaries
    from benchmarks.canaries import Counts
except ImportError as error:
    raise Skip(f"{error.name} is not installed: it comes with the `dev` group") from None

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.canaries import Floats, Ints

ALPHAS = (*np.geomspace(0.00001, 3.99, 80).tolist(), 4.0)
"""Operating points. As `alpha` less than 0.5 may be written; with 4, four tests take the first bad request for a bad version."""
PATIENCE = int(ANALYSIS.undecided_patience(HOLD))
"""What is over its limit by chance holds on for so long, in seconds."""
HOUR = 3600 // INTERVAL
"""Rules are compared over so many intervals from the start: a version that has passed sooner serves everybody for the rest."""
MOSTLY_WRONG = 0.5
"""Share of good versions that a rule takes for bad ones: with more than that nobody can release."""
TIMES = (1.5, 2, 5)
"""Bad versions have so many times stable's errors."""


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


class Mixture(NamedTuple):
    """Two operating points and a coin between them.

    :param below: the alpha that is wrong no more often than asked for; None: nothing is taken back.
    :param above: the next one; None: nothing is released.
    :param coin: probability of ``above``.
    """

    below: float | None
    above: float | None
    coin: float

    @property
    def mixed(self) -> bool:
        """Whether both are needed."""
        return self.coin > 0

    def served(self, held: Held) -> tuple[float, float]:
        """Requests of a canary that failed or were slow within the hour: mean and variance of the mixture."""
        later = held.served(
            np.full(len(held.taken), canaries.NEVER) if self.below is None else held.decided(self.below)
        )
        sooner = np.zeros(len(later)) if self.above is None else held.served(held.decided(self.above))
        coin = self.coin
        mean = (1 - coin) * later.mean() + coin * sooner.mean()
        square = (1 - coin) * (later.astype(float) ** 2).mean() + coin * (sooner.astype(float) ** 2).mean()
        return float(mean), float(square - mean**2)

    def words(self, false: Mapping[float, float]) -> str:
        """Which points they are."""
        below = (
            "nothing taken back" if self.below is None else f"{100 * false[self.below]:.2f} % (alpha {self.below:.2g})"
        )
        above = (
            "nothing released" if self.above is None else f"{100 * false[self.above]:.2f} % (alpha {self.above:.2g})"
        )
        return f"mixed: {below}, {100 * self.coin:.2g} % {above}" if self.mixed else below


def mixture(false: Mapping[float, float], wanted: float) -> Mixture:
    """The neighbouring operating points between which a share of good versions is taken back, and how often each judges.

    :param false: alphas, rising, to their shares of good versions that are taken back.
    :param wanted: the share that is asked for.
    """
    alphas = list(false)
    below = max((it for it in alphas if false[it] <= wanted), default=None)
    above = next((it for it in alphas if below is None or it > below), None)
    low, high = false[below] if below is not None else 0.0, false[above] if above is not None else 1.0
    return Mixture(below, above, (wanted - low) / (high - low) if high > low else 0.0)


def beside(
    rng: np.random.Generator, rate: float, times: float, false: Mapping[float, float], rules: Mapping[str, float]
) -> list[list[str]]:
    """A row for each rule: ours at the rule's own false rollbacks, on bad versions of one kind.

    :param times: their errors, times stable's.
    :param false: of ours, by alpha.
    :param rules: false rollbacks of each rule.
    """
    found, held = simulate(rng, rate, BAD, Fault("", errors=times)), held_on(rng, rate, BAD, times)
    rows = []
    for name, wanted in rules.items():
        decided = decide(JUDGES[name], found)
        passed = after_passing(rng, rate, times, np.full(BAD, len(WEIGHTS) * HOLD // INTERVAL))
        theirs = found.badly_served(decided) + np.where(decided == canaries.NEVER, passed, 0)
        mixed = mixture(false, wanted)
        ours, variance = mixed.served(held)
        noise = 1.96 * math.sqrt((variance + theirs.var()) / BAD)
        more = ours - theirs.mean()
        said = "more" if more > noise else "fewer" if more < -noise else "as many"
        said += ", and the rule is wrong for most good versions" if wanted > MOSTLY_WRONG else ""
        figures = (f"{theirs.mean():,.1f}", f"{ours:,.1f}", f"{more:+,.1f} ± {noise:,.1f}")
        rows.append(
            [f"{rate}/s, errors x{times:g}, {name}", f"{100 * wanted:.2f} %", mixed.words(false), *figures, said]
        )
    return rows


def at_no_more_false_rollbacks(
    rng: np.random.Generator, rates: Sequence[int] = RATES, faults: Sequence[float] = TIMES
) -> None:
    """Ours beside each rule, at the rule's own false rollbacks."""
    rows, taken = [], []
    for rate in rates:
        good, held = simulate(rng, rate, GOOD_KAYENTA, Fault("nothing")), held_on(rng, rate, GOOD_KAYENTA, 1.0)
        false = {alpha: float((held.decided(alpha) != canaries.NEVER).mean()) for alpha in ALPHAS}
        seconds = held.taken[held.decided(ANALYSIS.alpha) == canaries.NEVER] * INTERVAL
        taken.append(f"{rate}/s: {seconds.mean():,.0f} s, {np.percentile(seconds, 95):,.0f} s for one of twenty")
        rules = {
            name: float((decide(it, good) != canaries.NEVER).mean()) for name, it in JUDGES.items() if name != OURS
        }
        for times in faults:
            rows += beside(rng, rate, times, false, rules)
    table(
        f"Ours holds on for {PATIENCE} s where numbers prove nothing: false rollbacks, and requests badly served within an hour per "
        "canary, at the rule's own false rollbacks",
        ["", "false", "ours", "badly served", "ours", "difference, 95 %", "ours serves badly"],
        rows,
    )
    print(f"  Steps of good versions take, of {len(WEIGHTS) * HOLD} s: {'; '.join(taken)}.")
