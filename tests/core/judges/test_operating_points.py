"""Operating points of a judge that is compared with a rule at the rule's own false rollbacks."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import canaries
from benchmarks.operating_points import Held, Mixture, mixture

FALSE = {0.01: 0.1, 0.1: 0.1, 1.0: 0.5}
"""Of a judge that is wrong for no fewer than a tenth of good versions, and for no more than half."""


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (0.1, Mixture(0.1, 1.0, 0.0)),
        (0.3, Mixture(0.1, 1.0, 0.5)),
        (0.5, Mixture(1.0, None, 0.0)),
        (0.75, Mixture(1.0, None, 0.5)),
        (0.025, Mixture(None, 0.01, 0.25)),
        (1.0, Mixture(1.0, None, 1.0)),
    ],
)
def test_a_coin_between_neighbours_meets_any_share_of_false_rollbacks(wanted: float, found: Mixture) -> None:
    it = mixture(FALSE, wanted)
    assert (it.below, it.above) == (found.below, found.above)
    assert it.coin == pytest.approx(found.coin)
    low, high = FALSE[it.below] if it.below else 0.0, FALSE[it.above] if it.above else 1.0
    assert (1 - it.coin) * low + it.coin * high == pytest.approx(wanted)
    assert it.words(FALSE).startswith("mixed: ") == (it.coin > 0)


def test_a_mixture_has_the_mean_and_the_variance_of_draws_between_its_points() -> None:
    rng = np.random.default_rng(1)
    evidence = rng.normal(2, 2, size=(2000, 3)).cumsum(axis=1)
    bad = rng.poisson(5, size=evidence.shape).cumsum(axis=1)
    never = np.full(len(bad), canaries.NEVER)
    held = Held(evidence, never, bad, rng.poisson(100, size=len(bad)), np.full(len(bad), 3))
    it = Mixture(0.01, 1.0, 0.3)
    mean, variance = it.served(held)
    points = [held.served(held.decided(alpha)) for alpha in (1.0, 0.01)]
    drawn = np.concatenate([np.where(rng.random(len(bad)) < 0.3, *points) for _ in range(200)])
    assert mean == pytest.approx(drawn.mean(), rel=0.01)
    assert variance == pytest.approx(drawn.var(), rel=0.01)
