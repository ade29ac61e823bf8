"""Many canaries at once, in numpy: their traffic, and what each judge makes of it.

The judges here are the product's own, written for arrays; ``tests/domain/test_canaries.py`` holds them to
``domain.sequential`` and ``domain.kayenta``, point by point.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from release_pipelines.domain import sequential

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

    def until(self, rows: NDArray[np.bool_]) -> Counts:
        """The canaries that are chosen."""
        return Counts(*(part[rows] for part in self))


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
    return np.concatenate([it[0] for it in pieces]), np.concatenate([it[1] for it in pieces])


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


def _log_mean(logs: Iterable[Floats]) -> Floats:
    weighted = np.stack([it + weight for it, weight in zip(logs, sequential.log_weights(), strict=True)])
    top = weighted.max(axis=0)
    return top + np.log(np.exp(weighted - top).sum(axis=0))


def first(hits: NDArray[np.bool_]) -> Ints:
    """In each row the first column that holds; ``NEVER`` where none does."""
    return np.where(hits.any(axis=1), hits.argmax(axis=1), NEVER)
