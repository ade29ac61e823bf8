"""The sequential judge's tests of counts, held to exact enumeration, to scipy's distributions and to simulated canaries (R3, R6)."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import special, stats

from benchmarks import canaries
from release_pipelines.core.judges import _e_values as sequential
from release_pipelines.core.judges._e_values import Counts, State, add, bound, evidence, excess

TOLERANCE, LIMIT, ALPHA = 1.05, 0.01, 0.001


def counted(*intervals, tolerance=TOLERANCE):
    state = State()
    for counts in intervals:
        state = add(state, Counts(*counts), tolerance=tolerance)
    return state


@st.composite
def intervals(draw):
    """Counts of one interval: of a small app, so that nothing is rare."""
    total, stable_total = draw(st.integers(0, 40)), draw(st.integers(0, 200))
    return Counts(draw(st.integers(0, total)), total, draw(st.integers(0, stable_total)), stable_total)


MANY = st.lists(intervals(), max_size=8)


# --- an e-value's expectation, exactly --------------------------------------------------------------------------------


def weights():
    found = [Fraction(math.exp(it)) for it in sequential.log_weights()]
    return [it / sum(found) for it in found]


def ratio_to_stable(counts, tolerance):
    """The mixture of likelihood ratios in exact fractions; the alternatives are the judge's own."""

    def share(theta):
        return theta * counts.total / (theta * counts.total + counts.stable_total)

    null = share(Fraction(tolerance))
    alternatives = [share(Fraction(it)) for it in sequential.alternatives(tolerance)]
    ratios = [(it / null) ** counts.bad * ((1 - it) / (1 - null)) ** counts.stable_bad for it in alternatives]
    return sum(weight * ratio for weight, ratio in zip(weights(), ratios, strict=True))


def chance(bad, total, share):
    return math.comb(total, bad) * share**bad * (1 - share) ** (total - bad)


def odds_times(share, theta):
    return theta * share / (1 - share + theta * share)


def expected_against_stable(total, stable_total, share, stable_share):
    return sum(
        chance(bad, total, share)
        * chance(stable_bad, stable_total, stable_share)
        * ratio_to_stable(Counts(bad, total, stable_bad, stable_total), TOLERANCE)
        for bad, stable_bad in product(range(total + 1), range(stable_total + 1))
    )


@pytest.mark.parametrize("stable_share", [Fraction(1, 100), Fraction(1, 3), Fraction(9, 10)])
@pytest.mark.parametrize("theta", [Fraction(1, 2), Fraction(1), Fraction(TOLERANCE)])
@pytest.mark.parametrize(("total", "stable_total"), [(1, 1), (2, 9), (5, 5), (8, 2)])
def test_evidence_against_stable_is_expected_to_be_1_at_most_for_a_version_that_is_good_enough(
    total, stable_total, theta, stable_share
):  # R3
    assert expected_against_stable(total, stable_total, odds_times(stable_share, theta), stable_share) <= 1


@pytest.mark.parametrize(("total", "stable_total"), [(1, 1), (2, 9), (8, 2)])
def test_evidence_against_stable_is_expected_to_grow_for_a_version_that_is_worse(total, stable_total):
    assert expected_against_stable(total, stable_total, Fraction(3, 100), Fraction(1, 100)) > 1


@pytest.mark.parametrize("tolerance", [1.0, 1.5, 4.0])
def test_that_holds_over_intervals_with_different_traffic(tolerance):  # R3
    first, second, stable_share = (2, 4), (3, 2), Fraction(1, 5)
    share = odds_times(stable_share, Fraction(tolerance))
    alternatives = sequential.alternatives(tolerance)

    def each(total, stable_total):
        """Chance of every outcome, and the likelihood ratio of every alternative."""
        for bad, stable_bad in product(range(total + 1), range(stable_total + 1)):
            counts = Counts(bad, total, stable_bad, stable_total)
            logs = add(State(), counts, tolerance=tolerance).against_stable
            yield (
                float(chance(bad, total, share) * chance(stable_bad, stable_total, stable_share)),
                [math.exp(it) for it in logs],
            )

    expected = sum(
        one * other * sum(float(weight) * a * b for weight, a, b in zip(weights(), left, right, strict=True))
        for (one, left), (other, right) in product(each(*first), each(*second))
    )
    assert len(alternatives) == sequential.POINTS
    assert expected <= 1 + 1e-12


@pytest.mark.parametrize("total", [1, 5, 16])
@pytest.mark.parametrize("share", [Fraction(1, 1000), Fraction(LIMIT), Fraction(1, 10)])
def test_evidence_against_the_limit_is_expected_to_be_1_at_most_within_the_limit(total, share):  # R3
    null = Fraction(LIMIT)
    alternatives = [Fraction(it) / (1 + Fraction(it)) for it in sequential.alternatives(float(null / (1 - null)))]
    expected = sum(
        chance(bad, total, share)
        * sum(
            weight * (it / null) ** bad * ((1 - it) / (1 - null)) ** (total - bad)
            for weight, it in zip(weights(), alternatives, strict=True)
        )
        for bad in range(total + 1)
    )
    assert (expected <= 1) == (share <= null)


@settings(max_examples=20)
@given(intervals())
def test_evidence_is_what_the_exact_fractions_give(counts):
    assume(counts.total and counts.stable_total)
    found, _ = evidence(counted(counts), limit=LIMIT)
    exact = ratio_to_stable(counts, TOLERANCE)
    logarithm = math.log(exact.numerator) - math.log(exact.denominator)
    assert math.isclose(found, logarithm + math.log(2 * sequential.SHARES[0]), abs_tol=1e-9)


@settings(max_examples=15)
@given(MANY)
def test_evidence_is_what_scipys_distributions_give(many):
    against_stable = [0.0] * sequential.POINTS
    for it in many:
        if it.total and it.stable_total:
            thetas = (TOLERANCE, *sequential.alternatives(TOLERANCE))
            null, *logs = (
                stats.binom.logpmf(
                    it.bad, it.bad + it.stable_bad, theta * it.total / (theta * it.total + it.stable_total)
                )
                for theta in thetas
            )
            against_stable = [known + log - null for known, log in zip(against_stable, logs, strict=True)]
    bad, total = sum(it.bad for it in many), sum(it.total for it in many)
    odds = sequential.alternatives(LIMIT / (1 - LIMIT))
    against_limit = [
        stats.binom.logpmf(bad, total, it / (1 + it)) - stats.binom.logpmf(bad, total, LIMIT) for it in odds
    ]
    found = evidence(counted(*many), limit=LIMIT)
    for value, logs, share in zip(found, (against_stable, against_limit), sequential.SHARES, strict=True):
        expected = special.logsumexp(logs, b=[float(it) for it in weights()]) + math.log(2 * share)
        assert math.isclose(value, expected, rel_tol=1e-9, abs_tol=1e-7)


def test_both_tests_together_use_alpha_up():  # R3
    assert math.isclose(sum(sequential.SHARES), 1)
    assert all(it > 0 for it in sequential.SHARES)


# --- what evidence depends on -----------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(MANY, st.integers(1, 100), st.integers(1, 100), st.integers(1, 20))
def test_more_bad_requests_of_the_canary_are_more_evidence(many, total, stable_total, events):
    events = min(events, total, stable_total)
    found = [
        evidence(counted(*many, (bad, total, events - bad, stable_total)), limit=LIMIT) for bad in range(events + 1)
    ]
    # Whether each event belongs to the canary or to stable is all that the first test looks at.
    assert [it[0] for it in found] == sorted(it[0] for it in found)
    assert [it[1] for it in found] == sorted(it[1] for it in found)


@settings(max_examples=40)
@given(MANY, st.randoms(use_true_random=False))
def test_the_order_of_intervals_does_not_matter(many, rng):  # R6
    shuffled = list(many)
    rng.shuffle(shuffled)
    one, other = (evidence(counted(*it), limit=LIMIT) for it in (many, shuffled))
    assert one == pytest.approx(other, abs=1e-9)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 60)), min_size=1, max_size=6), st.integers(20, 50))
def test_intervals_with_the_same_split_may_be_counted_together(events, total):
    apart = [Counts(bad, total, stable_bad, 3 * total) for bad, stable_bad in events]
    together = Counts(*(sum(column) for column in zip(*apart, strict=True)))
    one, other = (evidence(counted(*it), limit=LIMIT) for it in (apart, [together]))
    assert one == pytest.approx(other, abs=1e-9)


@settings(max_examples=40)
@given(MANY)
def test_the_limit_depends_on_the_sums_alone(many):
    sums = Counts(*(sum(column) for column in zip(*many, strict=True))) if many else Counts(0, 0)
    assert evidence(counted(*many), limit=LIMIT)[1] == pytest.approx(evidence(counted(sums), limit=LIMIT)[1], abs=1e-9)


@given(MANY, st.integers(0, 1000), st.integers(0, 1000))
def test_an_interval_without_events_says_nothing_about_canary_and_stable(many, total, stable_total):
    before, after = counted(*many), counted(*many, (0, total, 0, stable_total))
    assert after.against_stable == before.against_stable
    assert after.seen.total == before.seen.total + total


def test_without_requests_there_is_no_evidence():  # R3
    assert evidence(State(), limit=LIMIT) == pytest.approx([math.log(2 * it) for it in sequential.SHARES])
    assert max(evidence(State(), limit=LIMIT)) < 1


def test_a_version_that_answers_nothing_is_seen_within_a_few_requests():  # R3
    found = [max(evidence(counted((bad, bad, 0, 19 * bad)), limit=LIMIT)) for bad in range(1, 8)]
    assert next(n for n, it in enumerate(found, 1) if it > -math.log(ALPHA / 4)) <= 5


def test_a_version_that_is_hardly_worse_is_never_taken_for_worse_however_long_it_is_looked_at():
    for factor in (1.0, 1.1, 1.2):
        states = [counted((round(1e3 * it * factor), 10**6 * it, 10**3 * it, 10**6 * it)) for it in (1, 10, 100, 1000)]
        assert max(evidence(it, limit=LIMIT)[0] for it in states) < 1


# --- a restart --------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(MANY, MANY)
def test_a_restart_goes_on_with_the_same_test(before, after):  # R6
    kept = json.loads(json.dumps(sequential.to_json(counted(*before))))
    state = sequential.from_json(kept)
    assert state.seen == counted(*before).seen
    for counts in after:
        state = add(state, counts, tolerance=TOLERANCE)
    assert evidence(state, limit=LIMIT) == pytest.approx(evidence(counted(*before, *after), limit=LIMIT), abs=1e-3)


@pytest.mark.parametrize(
    "kept",
    [
        None,
        {},
        {"seen": [1, 2]},
        {"seen": [0, 0, 0, 0], "against_stable": [0.0] * 24},
        {"seen": "x", "against_stable": 3},
    ],
)
def test_what_another_version_kept_begins_anew(kept):  # R6
    assert sequential.from_json(kept) == State()


# --- bounds -----------------------------------------------------------------------------------------------------------


@given(st.integers(0, 400), st.integers(0, 4000), st.sampled_from([0.001, 0.025, 0.2]))
def test_a_bound_is_where_a_grid_finds_the_first_share_that_is_excluded(bad, more, alpha):
    total = bad + more
    grid = np.linspace(0, 1, 20_001)[1:-1]
    mixed = special.betaln(bad + 0.5, more + 0.5) - special.betaln(0.5, 0.5)
    kept = grid[mixed - special.xlogy(bad, grid) - special.xlog1py(more, -grid) < -math.log(alpha)]
    step = 1 / 20_000
    low, high = (bound(bad, total, alpha, upper=upper) for upper in (False, True))
    if len(kept):
        assert low <= kept[0] + 1e-12 <= low + step + 2e-12
        assert high - step - 2e-12 <= kept[-1] - 1e-12 <= high
    assert 0 <= low <= (bad / total if total else 0) <= high <= 1


def test_the_mixture_in_the_bounds_is_an_e_value():  # R3
    for total, share in product((1, 6, 25), (Fraction(1, 100), Fraction(2, 5))):
        expected = sum(
            float(chance(bad, total, share))
            * math.exp(
                special.betaln(bad + 0.5, total - bad + 0.5)
                - special.betaln(0.5, 0.5)
                - bad * math.log(share)
                - (total - bad) * math.log(1 - share)
            )
            for bad in range(total + 1)
        )
        assert math.isclose(expected, 1)


@given(intervals())
def test_the_excess_is_above_what_was_seen(counts):
    found = excess(counted(counts))
    if not counts.total:
        assert found is None
    else:
        stable = counts.stable_bad / counts.stable_total if counts.stable_total else 0
        assert found is not None
        assert counts.bad / counts.total - stable <= found <= 1


def test_more_requests_make_the_excess_small():
    found = [excess(counted((3 * n, 1000 * n, 3 * n, 1000 * n))) for n in (1, 10, 100, 1000)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.001


# --- simulated canaries -----------------------------------------------------------------------------------------------


def test_many_canaries_at_once_are_judged_as_one_by_one():
    rng = np.random.default_rng(7)
    total, stable_total = canaries.traffic(rng, 40, 0.4, [5, 50], 15, 10)  # some intervals are empty
    counts = canaries.events(rng, total, stable_total, 0.15, 0.1)
    assert (counts.total == 0).any()
    found = canaries.evidence(counts, TOLERANCE, LIMIT)
    for canary in range(40):
        state = State()
        for tick in range(30):
            state = add(state, Counts(*(int(it[canary, tick]) for it in counts)), tolerance=TOLERANCE)
            assert [it[canary, tick] for it in found] == pytest.approx(evidence(state, limit=LIMIT), abs=1e-9)


def test_looking_after_every_interval_fails_a_good_canary_hardly_ever():  # R3
    """20,000 canaries that are just tolerated, each looked at 30 times."""
    rng, number = np.random.default_rng(11), 20_000
    total, stable_total = canaries.traffic(rng, number, 50, [5, 25, 50], 10, 30)
    counts = canaries.events(rng, total, stable_total, float(odds_times(0.003, TOLERANCE)), 0.003)
    highest = np.maximum(*canaries.evidence(counts, TOLERANCE, LIMIT)).max(axis=1)
    failed = int((highest > -math.log(ALPHA / 2)).sum())
    assert failed > 0  # it is a test that can fail
    assert stats.binomtest(failed, number).proportion_ci(0.95, method="exact").high <= ALPHA


@settings(max_examples=3)
@given(st.integers(0, 2**32 - 1))
def test_a_canary_that_is_ten_times_as_bad_is_seen(seed):  # R3
    rng = np.random.default_rng(seed)
    total, stable_total = canaries.traffic(rng, 50, 50, [5, 25, 50], 15, 20)
    counts = canaries.events(rng, total, stable_total, 0.03, 0.003)
    assert (np.maximum(*canaries.evidence(counts, TOLERANCE, LIMIT)).max(axis=1) > -math.log(ALPHA / 4)).all()
