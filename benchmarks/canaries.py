"""Many canaries at once, in numpy: their traffic, and what each judge makes of it.

The judges here are the product's own, written for arrays; ``tests/core/judges`` holds them to ``core/judges``, point by point.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from release_pipelines.core.judges import _e_values as sequential

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

NEVER = np.iinfo(np.int64).max
"""The tick of a decision that was not taken."""
CHUNK = 1000
"""So many canaries at a time: what they need fits into the processor's cache, nearly."""


class Counts(NamedTuple):
    """Bad events and all requests of canary and stable: a row for each canary, a column for each tick."""

    bad: Ints
    total: Ints
    stable_bad: Ints
    stable_total: Ints

    def chunks(self) -> Iterator[Counts]:
        """A few canaries at a time."""
        for start in range(0, len(self.bad), CHUNK):
            yield Counts(*(part[start : start + CHUNK] for part in self))

    def first(self, canaries: int) -> Counts:
        """Only so many of them."""
        return Counts(*(part[:canaries] for part in self))


def traffic(
    rng: np.random.Generator, canaries: int, rate: float, weights: list[int], ticks: int, interval: float
) -> tuple[Ints, Ints]:
    """Requests to canary and stable in every interval; they come at random (Poisson).

    :param rate: requests per second to both together.
    :param weights: percent of the canary in each step.
    :param ticks: intervals in each step.
    """
    share = np.repeat(np.array(weights) / 100, ticks)
    shape = (canaries, len(share))
    return rng.poisson(rate * interval * share, shape), rng.poisson(rate * interval * (1 - share), shape)


def events(rng: np.random.Generator, total: Ints, stable_total: Ints, share: float, stable_share: float) -> Counts:
    """Bad events among the requests, by chance."""
    return Counts(rng.binomial(total, share), total, rng.binomial(stable_total, stable_share), stable_total)


# --- the sequential judge -----------------------------------------------------------------------------------------


def evidence(counts: Counts, tolerance: float, limit: float) -> tuple[Floats, Floats]:
    """Natural logarithms of both e-values (against stable, against the limit) after every tick."""
    pieces = [(_against_stable(it, tolerance), _against_limit(it, limit)) for it in counts.chunks()]
    stable_share, limit_share = (math.log(2 * share) for share in sequential.SHARES)
    return np.concatenate([it[0] for it in pieces]) + stable_share, np.concatenate(
        [it[1] for it in pieces]
    ) + limit_share


def _against_stable(counts: Counts, tolerance: float) -> Floats:
    both = (counts.total > 0) & (counts.stable_total > 0)
    total, stable_total = np.where(both, counts.total, 1), np.where(both, counts.stable_total, 1)
    own = np.where(both, counts.bad, 0).cumsum(axis=1)
    all_events = np.where(both, counts.bad + counts.stable_bad, 0)
    null = tolerance * total + stable_total
    # A ratio per event has a part that only the canary's have, θ over the tolerance, and one that is the same for stable's.
    return _log_mean(
        own * math.log(theta / tolerance) + (all_events * np.log(null / (theta * total + stable_total))).cumsum(axis=1)
        for theta in sequential.alternatives(tolerance)
    )


def _against_limit(counts: Counts, limit: float) -> Floats:
    null = sequential.inside(limit)
    bad, good = counts.bad.cumsum(axis=1), (counts.total - counts.bad).cumsum(axis=1)
    return _log_mean(
        bad * math.log(odds / (1 + odds) / null) - good * math.log((1 + odds) * (1 - null))
        for odds in sequential.alternatives(null / (1 - null))
    )


class Running:
    """The product's two tests of one metric of many canaries, tick by tick: whether a hold goes on depends on them.

    :param number: how many canaries.
    """

    def __init__(self, number: int, tolerance: float, limit: float) -> None:
        self.tolerance, self.limit = tolerance, limit
        self.bad, self.total = np.zeros(number), np.zeros(number)
        self.evidence = np.full(number, -math.inf)
        self._against_stable = np.zeros((number, sequential.POINTS))

    @property
    def over(self) -> NDArray[np.bool_]:
        """Which of them are over the limit: they never pass."""
        over: NDArray[np.bool_] = self.bad > self.limit * self.total
        return over

    @property
    def undecided(self) -> NDArray[np.bool_]:
        """Which of them wait for more numbers."""
        return self.over | (self.evidence > sequential.SUSPICION)

    def add(self, here: Ints, counts: Counts) -> None:
        """One more interval of the canaries ``here``."""
        self.bad[here] += counts.bad
        self.total[here] += counts.total
        both = (counts.total > 0) & (counts.stable_total > 0)
        total, stable_total = (np.where(both, it, 1)[:, None] for it in (counts.total, counts.stable_total))
        own, others = (np.where(both, it, 0)[:, None] for it in (counts.bad, counts.bad + counts.stable_bad))
        theta = np.array(sequential.alternatives(self.tolerance))
        null = self.tolerance * total + stable_total
        self._against_stable[here] += own * np.log(theta / self.tolerance)
        self._against_stable[here] += others * np.log(null / (theta * total + stable_total))
        inside = sequential.inside(self.limit)
        odds = np.array(sequential.alternatives(inside / (1 - inside)))
        bad, good = self.bad[here, None], (self.total - self.bad)[here, None]
        against_limit = bad * np.log(odds / (1 + odds) / inside) - good * np.log((1 + odds) * (1 - inside))
        stable_share, limit_share = (math.log(2 * share) for share in sequential.SHARES)
        stable = _log_mean(self._against_stable[here].T) + stable_share
        self.evidence[here] = np.maximum(stable, _log_mean(against_limit.T) + limit_share)


def _log_mean(logs: Iterable[Floats]) -> Floats:
    weighted = np.stack([it + weight for it, weight in zip(logs, sequential.log_weights(), strict=True)])
    top = weighted.max(axis=0)
    return top + np.log(np.exp(weighted - top).sum(axis=0))


def first(hits: NDArray[np.bool_]) -> Ints:
    """In each row the first column that holds; ``NEVER`` where none does."""
    return np.where(hits.any(axis=1), hits.argmax(axis=1), NEVER)


# --- Kayenta's judge ----------------------------------------------------------------------------------------------


def high(canary: Floats, baseline: Floats, confidence: float, tolerance: float) -> NDArray[np.bool_]:
    """Whether Kayenta's judge calls the canary high; a row for each canary, NaN where a point is missing."""
    rows, n, m = len(canary), (~np.isnan(canary)).sum(axis=1), (~np.isnan(baseline)).sum(axis=1)
    falling = -np.sort(-(canary[:, :, None] - baseline[:, None, :]).reshape(rows, -1), axis=1)  # NaN comes last
    pairs, size = n * m, n + m
    ties = _ties(canary) + _ties(baseline)
    sigma = np.sqrt(pairs / 12 * (size + 1 - ties / np.maximum(size * (size - 1), 1)))
    most = np.floor(pairs / 2 + 0.5 + NormalDist().inv_cdf((1 + confidence) / 2) * sigma).astype(int)
    here = np.arange(rows)
    lower = falling[here, np.clip(most, 0, np.maximum(pairs - 1, 0))]
    middle = (falling[here, (pairs - 1) // 2] + falling[here, np.minimum(pairs // 2, falling.shape[1] - 1)]) / 2
    ratio = _mean(canary, n) >= _mean(baseline, m)
    return (lower > tolerance * np.abs(middle)) & ratio


def _ties(values: Floats) -> Floats:
    """Sum of n³ - n over groups of n equal values in each row."""
    same = values[:, :, None] == values[:, None, :]
    group = same.sum(axis=2)  # of each value's own group; 0 for NaN
    return np.where(group > 0, group.astype(float) ** 2 - 1, 0).sum(axis=1)


def _mean(values: Floats, n: Ints) -> Floats:
    return np.nansum(values, axis=1) / np.maximum(n, 1)
