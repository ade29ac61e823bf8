"""Tests of counts that may be looked at after every interval without raising the chance of a false alarm (R3).

Two e-processes per metric, each a mixture of likelihood ratios. An e-process has an expectation of at most 1 at every
stopping time as long as its null hypothesis holds, so it passes ``1/alpha`` ever with a chance of at most alpha (Ville 1939).

*Canary against stable.* Given the requests of both in an interval and how many of them were bad, each bad event belongs to the
canary with probability ``θ n_c / (θ n_c + n_s)``, where θ is the ratio of their odds. The null is θ ≤ tolerance. A likelihood ratio
of θ' > tolerance against the tolerance has expectation 1 at θ = tolerance, and less below, because it rises with every bad event of
the canary. That is so where bad events are rare. Where they are not, the canary's number of them has Fisher's noncentral
hypergeometric distribution: a sum of independent trials (its generating function has real roots only), whose mean is not above the
binomial one for θ ≥ 1 (from its recursion), so that the expectation of a ratio that is convex and rising is not above 1 either
(Hoeffding, On the Distribution of the Number of Successes in Independent Trials, 1956, Theorem 3). A test counts it out.

*Canary against the limit.* Each request is bad with probability p, and the null is p ≤ limit; monotone in the same way. This one
depends on nothing but the sums.

*Canary against what stable was*, where all traffic is the canary's and stable has counts from before: as against a limit, which is the
tolerated odds over an upper bound of stable's share. The bound holds at all times together but with a chance of a tenth of alpha, so that
a good version fails with a chance of at most 1.1 alpha.

The alternatives are 1.4 to 60 times what is tolerated, and small ones weigh more: they are what takes long to see, while a large one
needs a few events whatever it weighs.

Sources: Lindon and Malek, Anytime-Valid Inference for Multinomial Count Data (NeurIPS 2022); Lindon, Sanden and Shirikian, Rapid
Regression Detection in Software Deployments through Sequential Testing (KDD 2022); Johari, Pekelis and Walsh, Always Valid
Inference (2015); Robbins, Statistical Methods Related to the Law of the Iterated Logarithm (1970), for the bounds.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import NamedTuple

POINTS = 20
"""Alternatives in a mixture: enough that the best of them is near the truth, whatever it is."""
SMALLEST, LARGEST = 1.4, 60.0
"""Alternatives are so many times what is tolerated (in odds). Up to the root of the smallest nothing ever counts as evidence."""
SHARES = (0.8, 0.2)
"""Of alpha: against stable, which sees nearly everything sooner, and against the limit, which has nothing beside it in the bake."""
BOUND_ALPHA = 0.05
"""Chance that a version which is worse than the margin is taken for one that is surely not, ever, per metric."""


SUSPICION = math.log(3)
"""Natural logarithm of an e-value that speaks against a version, though it proves nothing: a hold goes on for a while then.

At three to one a version with twice stable's errors and 5 requests/s is found as often as by a count of bad minutes that is wrong as
often, and the steps of a good one take 5 % longer (``make bench``, part `judges`).
"""


class Counts(NamedTuple):
    """Bad events and all requests of canary and stable in one interval."""

    bad: int
    total: int
    stable_bad: int = 0
    stable_total: int = 0


class State(NamedTuple):
    """State of a test. Small enough to be kept with the route; a restart continues from it (R6)."""

    seen: Counts = Counts(0, 0)
    against_stable: tuple[float, ...] = (0.0,) * POINTS
    """Natural logarithm of the likelihood ratio of each alternative."""


def add(state: State, counts: Counts, *, tolerance: float) -> State:
    """The state after one more interval.

    :param tolerance: highest tolerated ratio of the odds of a bad event, canary to stable; at least 1.
    """
    seen = Counts(*(a + b for a, b in zip(state.seen, counts, strict=True)))
    if not (counts.total and counts.stable_total and counts.bad + counts.stable_bad):
        return State(seen, state.against_stable)  # nothing happened that belongs to one of two
    null = _share(tolerance, counts)
    shares = (_share(theta, counts) for theta in alternatives(tolerance))
    ratios = (
        known + counts.bad * math.log(it / null) + counts.stable_bad * math.log((1 - it) / (1 - null))
        for known, it in zip(state.against_stable, shares, strict=True)
    )
    return State(seen, tuple(ratios))


def evidence(state: State, *, limit: float) -> tuple[float, float]:
    """Natural logarithms of the two e-values: against stable, and against the limit.

    Each is weighted with its share of alpha over an even half, so that both have to pass the same: 1/alpha of a test.

    :param limit: highest tolerated share of bad events.
    """
    bad, good = state.seen.bad, state.seen.total - state.seen.bad
    against_limit = tuple(bad * of_bad + good * of_good for of_bad, of_good in _of_events(inside(limit)))
    stable_share, limit_share = (math.log(2 * share) for share in SHARES)
    return _log_mean(state.against_stable) + stable_share, _log_mean(against_limit) + limit_share


def excess(state: State) -> float | None:
    """Upper bound of the canary's share of bad events minus stable's, valid at all times together; None: no requests yet.

    Without requests on stable it is the bound of the canary's own share.
    """
    seen = state.seen
    if not seen.total:
        return None
    upper = bound(seen.bad, seen.total, BOUND_ALPHA / 2, upper=True)
    return upper - (bound(seen.stable_bad, seen.stable_total, BOUND_ALPHA / 2, upper=False) if seen.stable_total else 0)


def tolerated_by_past(seen: Counts, tolerance: float, alpha: float) -> float:
    """The share of bad events that is tolerated of the canary, by what stable had at most.

    :param alpha: chance that stable's share is above the bound.
    """
    most = bound(seen.stable_bad, seen.stable_total, alpha, upper=True)
    odds = tolerance * most / (1 - most) if most < 1 else math.inf
    return odds / (1 + odds) if math.isfinite(odds) else 1.0


@lru_cache(maxsize=4096)
def bound(bad: int, total: int, alpha: float, *, upper: bool) -> float:
    """Bound of a share that holds at all times together with probability 1 - alpha: Robbins' mixture over a Beta(½, ½).

    The shares that are not excluded are those whose e-value ``B(bad+½, good+½) / B(½, ½) / p^bad (1-p)^good`` is below 1/alpha.
    """
    good = total - bad
    mixed = math.lgamma(bad + 0.5) + math.lgamma(good + 0.5) - math.lgamma(total + 1) - math.log(math.pi)

    def excluded(p: float) -> bool:
        log_likelihood = (bad * math.log(p) if bad else 0.0) + (good * math.log1p(-p) if good else 0.0)
        return mixed - log_likelihood >= -math.log(alpha)

    inside, outside = (bad / total if total else 0.0), 1.0 if upper else 0.0
    if inside == outside:
        return outside
    for _ in range(50):
        middle = (inside + outside) / 2
        if 0 < middle < 1 and excluded(middle):
            outside = middle
        else:
            inside = middle
    return outside


def to_json(state: State) -> dict[str, list[float]]:
    """The state for a route's note; rounded to what matters."""
    return {
        "seen": list(state.seen),
        "against_stable": [round(it, 4) for it in state.against_stable],
    }


def from_json(kept: object) -> State:
    """The state in JSON from :func:`to_json`; a new one where its shape is that of another version."""
    try:
        return State(
            Counts(*(int(it) for it in kept["seen"])),  # type: ignore[index]
            _points(kept["against_stable"]),  # type: ignore[index]
        )
    except (KeyError, TypeError, ValueError):
        return State()


def _points(kept: list[float]) -> tuple[float, ...]:
    if len(kept) != POINTS:
        raise ValueError(f"{POINTS} points are expected, found {len(kept)}")
    return tuple(float(it) for it in kept)


@cache
def alternatives(tolerated: float) -> tuple[float, ...]:
    """Ratios of odds, or odds, from a little above what is tolerated to far above; evenly spaced in their logarithms."""
    step = (LARGEST / SMALLEST) ** (1 / (POINTS - 1))
    return tuple(tolerated * SMALLEST * step**n for n in range(POINTS))


@cache
def log_weights() -> tuple[float, ...]:
    """Natural logarithms of the alternatives' weights, which fall like 1/√n and add up to 1."""
    weights = [1 / math.sqrt(n) for n in range(1, POINTS + 1)]
    return tuple(math.log(it / sum(weights)) for it in weights)


@lru_cache(maxsize=4096)
def _of_events(null: float) -> tuple[tuple[float, float], ...]:
    """What one bad event, and one good, say for each alternative to a limit: logarithms of their likelihood ratios."""
    odds = alternatives(null / (1 - null))
    return tuple((math.log(it / (1 + it) / null), -math.log((1 + it) * (1 - null))) for it in odds)


def _share(theta: float, counts: Counts) -> float:
    return theta * counts.total / (theta * counts.total + counts.stable_total)


def inside(limit: float) -> float:
    """A limit of 0 or 1 would make a single event, or none, decide everything."""
    return min(max(limit, 1e-6), 1 - 1e-6)


def _log_mean(logs: tuple[float, ...]) -> float:
    weighted = [it + weight for it, weight in zip(logs, log_weights(), strict=True)]
    top = max(weighted)
    return top + math.log(sum(math.exp(it - top) for it in weighted))
