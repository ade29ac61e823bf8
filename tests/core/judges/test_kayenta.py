"""Kayenta's judge, held to brute force (all pairwise differences, all permutations) and to scipy; and its score (R3, R13)."""

from __future__ import annotations

import math
from itertools import combinations
from statistics import NormalDist, fmean

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import optimize, stats

from benchmarks import canaries
from release_pipelines.core.judges.kayenta import Shift, compare, score, shift, verdicts
from release_pipelines.core.model.analysis import Analysis, KayentaSettings, Metric
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.verdicts import stage_verdict

SETTINGS = KayentaSettings()
CONFIDENCE = SETTINGS.confidence
SMOOTH = st.lists(st.floats(-100, 100, allow_subnormal=False).map(lambda it: round(it, 6)), min_size=2, max_size=14)
COARSE = st.lists(st.integers(-6, 6).map(lambda it: it / 8), min_size=2, max_size=14)
"""Values that are often the same, and exact in binary."""


# --- the interval -----------------------------------------------------------------------------------------------------


def standardised(canary, baseline, by):
    """R's statistic (wilcox.test, two-sided, corrected for continuity) when the canary is moved down ``by``."""
    n, m = len(canary), len(baseline)
    ranks = stats.rankdata([*(x - by for x in canary), *baseline])
    _, ties = np.unique(ranks, return_counts=True)
    distance = ranks[:n].sum() - n * (n + 1) / 2 - n * m / 2
    sigma = math.sqrt(n * m / 12 * (n + m + 1 - (ties**3 - ties).sum() / ((n + m) * (n + m - 1))))
    return (distance - np.sign(distance) * 0.5) / sigma


def between(values):
    """Half of the smallest distance between two values."""
    found = np.unique(values)
    return float(np.diff(found).min()) / 2 if len(found) > 1 else 0.5


def differences(canary, baseline):
    return sorted(x - y for x in canary for y in baseline)


def test_kayentas_own_example():
    assert shift([10, 20, 30, 40], [1, 2, 3, 4], 0.95) == Shift(6, 22.5, 39)


@settings(max_examples=40)
@given(SMOOTH | COARSE, SMOOTH | COARSE)
def test_the_estimate_is_the_median_of_all_differences(canary, baseline):
    assert shift(canary, baseline, CONFIDENCE).estimate == pytest.approx(np.median(differences(canary, baseline)))


@settings(max_examples=40)
@given(COARSE, COARSE, st.sampled_from([0.8, 0.95, 0.98]))
def test_the_interval_ends_where_rs_statistic_crosses_its_quantile(canary, baseline, confidence):
    assume(len({*canary}) + len({*baseline}) > 2)
    found, quantile = shift(canary, baseline, confidence), NormalDist().inv_cdf((1 + confidence) / 2)
    every = differences(canary, baseline)
    near = between(every)
    assert found.lower in every
    assert found.upper in every
    assert standardised(canary, baseline, found.lower + near) <= quantile
    assert found.lower == every[0] or standardised(canary, baseline, found.lower - near) > quantile
    assert standardised(canary, baseline, found.upper - near) >= -quantile
    assert found.upper == every[-1] or standardised(canary, baseline, found.upper + near) < -quantile


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 14), st.integers(2, 14))
def test_the_interval_is_what_a_root_finder_gives_as_in_r_and_kayenta(seed, n, m):
    """On values without ties, where a root finder cannot meet one by chance."""
    rng = np.random.default_rng(seed)
    canary, baseline = rng.normal(1, 2, n).tolist(), rng.normal(0, 1, m).tolist()
    every = differences(canary, baseline)
    low, high = every[0], every[-1]
    quantile = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)

    def root(of):
        """As R has it: an end where the statistic does not get so far."""
        at_low, at_high = standardised(canary, baseline, low) - of, standardised(canary, baseline, high) - of
        if at_low <= 0:
            return low
        if at_high >= 0:
            return high
        return optimize.brentq(lambda by: standardised(canary, baseline, by) - of, low, high, xtol=1e-9)

    found = shift(canary, baseline, CONFIDENCE)
    assert found.lower == pytest.approx(root(quantile), abs=1e-6)
    assert found.upper == pytest.approx(root(-quantile), abs=1e-6)


@settings(max_examples=15)
@given(COARSE, COARSE)
def test_the_interval_holds_the_shifts_that_scipys_test_does_not_reject(canary, baseline):
    assume(len({*canary}) + len({*baseline}) > 2)
    found, every = shift(canary, baseline, 0.9), differences(canary, baseline)
    near = between(every)
    for by in np.unique([*(it - near for it in every), every[-1] + near]):
        moved = [x - by for x in canary]
        accepted = stats.mannwhitneyu(moved, baseline, method="asymptotic", use_continuity=True).pvalue >= 0.1
        if every[0] < by < every[-1]:
            assert accepted == (found.lower < by < found.upper)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=4), st.lists(st.integers(0, 4), min_size=2, max_size=4))
def test_the_spread_is_that_of_all_permutations(canary, baseline):
    """The variance of U over every way to call ``n`` of the values the canary's, with ties within each but not between both."""
    n, m = len(canary), len(baseline)
    apart = np.array([*canary, *(it + 0.5 for it in baseline)])
    ranks = stats.rankdata(apart)
    spread = np.std([ranks[list(chosen)].sum() for chosen in combinations(range(n + m), n)])
    every, reach = differences(canary, baseline), 0.5 + NormalDist().inv_cdf(0.9) * spread
    most, least = math.floor(n * m / 2 + reach + 1e-9), math.floor(n * m / 2 - reach + 1e-9)
    found = shift(canary, baseline, 0.8)
    assert found.lower == (every[-1 - most] if most < n * m else every[0])
    assert found.upper == (every[-1 - least] if least >= 0 else every[-1])


@settings(max_examples=40)
@given(COARSE, COARSE, st.integers(-5, 5))
def test_moving_the_canary_moves_the_interval(canary, baseline, by):
    moved = shift([x + by for x in canary], baseline, CONFIDENCE)
    assert moved == tuple(it + by for it in shift(canary, baseline, CONFIDENCE))


@settings(max_examples=40)
@given(COARSE, COARSE)
def test_changing_sides_turns_the_interval_round(canary, baseline):
    one, other = shift(canary, baseline, CONFIDENCE), shift(baseline, canary, CONFIDENCE)
    assert other == (-one.upper, -one.estimate, -one.lower)


# --- one metric -------------------------------------------------------------------------------------------------------

LOW, HIGH = [1.0 + n / 100 for n in range(20)], [2.0 + n / 100 for n in range(20)]


@pytest.mark.parametrize(
    ("canary", "baseline", "direction", "result"),
    [
        (HIGH, LOW, "increase", "high"),
        (HIGH, LOW, "either", "high"),
        (HIGH, LOW, "decrease", "pass"),
        (LOW, HIGH, "decrease", "low"),
        (LOW, HIGH, "either", "low"),
        (LOW, HIGH, "increase", "pass"),
        ([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], "either", "pass"),  # the same data in another order
        ([1, 1, 1], [1, 1], "either", "pass"),
        ([0, 1, 1, 1, 1], [1, 1, 1, 1, 1], "either", "pass"),
        ([2.0] * 10, [1.0] * 10, "increase", "high"),  # no spread at all, and yet not the same
        ([0.0] * 10, [1.0] * 10, "either", "low"),
        ([1.0] * 10, [0.0] * 10, "either", "high"),
    ],
)
def test_a_metric_is_high_low_or_passes(canary, baseline, direction, result):
    assert compare(canary, baseline, direction, SETTINGS).result == result


def test_a_shift_within_the_tolerance_of_its_own_estimate_passes():
    canary = [2.0 + 0.2 * n for n in range(20)]
    baseline = [0.0 + 0.2 * n for n in range(20)]
    found = compare(canary, baseline, "increase", SETTINGS).shift
    assert 0 < found.lower < found.estimate
    just_over, just_under = (found.lower / found.estimate + it for it in (-0.001, 0.001))
    for tolerance, result in ((just_over, "high"), (just_under, "pass")):
        assert (
            compare(canary, baseline, "increase", SETTINGS.model_copy(update={"tolerance": tolerance})).result == result
        )


def test_a_change_smaller_than_the_effect_size_passes():
    ratio = fmean(HIGH) / fmean(LOW)
    for effect, result in ((ratio - 0.01, "high"), (ratio + 0.01, "pass")):
        settings = SETTINGS.model_copy(update={"effect_size": effect})
        assert compare(HIGH, LOW, "either", settings).result == result
        assert compare(LOW, HIGH, "either", settings).result == {"high": "low"}.get(result, "pass")


def test_a_change_from_or_to_zero_is_of_any_size():
    settings = SETTINGS.model_copy(update={"effect_size": 50.0})
    assert compare(HIGH, [0.0] * 20, "increase", settings).result == "high"
    assert compare([0.0] * 20, HIGH, "decrease", settings).result == "low"


def test_many_canaries_at_once_are_judged_as_one_by_one():
    rng = np.random.default_rng(5)
    canary, baseline = rng.poisson(4, (200, 16)) / 8, rng.poisson(2, (200, 13)) / 8
    canary[rng.random(canary.shape) < 0.1] = np.nan
    found = canaries.high(canary, baseline, CONFIDENCE, SETTINGS.tolerance)
    expected = [
        compare([it for it in one if not math.isnan(it)], list(other), "increase", SETTINGS).result == "high"
        for one, other in zip(canary.tolist(), baseline.tolist(), strict=True)
    ]
    assert found.tolist() == expected
    assert {True, False} == {*expected}


# --- the score --------------------------------------------------------------------------------------------------------


def metric(name, group="default", critical=False, **more):
    return Metric(name=name, source="errors", limit=0.01, group=group, critical=critical, **more)


@pytest.mark.parametrize(
    ("found", "weights", "expected"),
    [
        ([("a", "pass"), ("a", "pass")], {}, (100, 100)),
        ([("a", "pass"), ("a", "fail"), ("a", "fail")], {}, (33.33, 33.33)),
        ([("a", "pass"), ("b", "fail"), ("b", "fail")], {}, (50, 50)),
        ([("a", "pass"), ("b", "fail")], {"a": 80, "b": 20}, (80, 80)),
        ([("a", "pass"), ("b", "pass"), ("c", "fail")], {"a": 60}, (80, 80)),  # b and c share the rest
        ([("a", "pass"), ("b", "fail"), ("b", "pass"), ("b", "pass")], {"a": 40, "b": 60}, (80, 80)),
        ([("a", "pass"), ("a", "inconclusive")], {}, (50, 100)),  # nothing is known of one
        ([("a", "fail"), ("a", "error")], {}, (0, 50)),
        ([("a", "inconclusive"), ("b", "pass")], {"a": 10, "b": 90}, (90, 100)),
    ],
)
def test_the_score_by_groups_and_weights(found, weights, expected):
    metrics = [(metric(f"m{n}", group), judgement) for n, (group, judgement) in enumerate(found)]
    assert score(metrics, KayentaSettings(group_weights=weights)) == expected


def test_a_critical_metric_that_fails_makes_it_zero():
    found = [(metric("a"), "pass"), (metric("b", critical=True), "fail")]
    assert score(found, SETTINGS) == (0, 0)
    assert score([(metric("a"), "pass"), (metric("b", critical=True), "inconclusive")], SETTINGS) == (0, 100)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.booleans(), st.sampled_from(["pass", "fail", "inconclusive", "error"])),
        min_size=1,
        max_size=8,
    )
)
def test_the_score_is_open_only_where_something_could_not_be_measured(found):
    metrics = [(metric(f"m{n}", group, critical), it) for n, (group, critical, it) in enumerate(found)]
    worst, best = score(metrics, SETTINGS)
    assert 0 <= worst <= best <= 100
    if all(it in ("pass", "fail") for _, _, it in found):
        assert worst == best
    if worst == 100:
        assert all(it == "pass" for _, _, it in found)


# --- a stage ----------------------------------------------------------------------------------------------------------

ERRORS = Metric(name="errors", source="errors", limit=0.01)
SLOW = Metric(name="slow", source="slow_requests", limit=0.01, critical=False)
QUEUE = Metric(name="queue", query="depth", limit=5, critical=False)


def analysis(*metrics, **settings):
    return Analysis(
        judge="kayenta",
        patience=20,
        error_limit=2,
        metrics=list(metrics) or [ERRORS],
        kayenta=KayentaSettings(**settings),
    )


def counts(name, canary, baseline=0.002, number=12, total=1000.0):
    """``number`` measurements of a count, a little different each time."""
    return [
        Sample(
            metric=name,
            at=10.0 * n,
            bad=total * (canary + n / 1e4),
            total=total,
            stable_bad=5000 * (baseline + n / 1e4),
            stable_total=5000.0,
        )
        for n in range(1, number + 1)
    ]


def decided(spec, samples, now=300.0, weight=10):
    return stage_verdict("step_10", weight, spec, samples, now, 300.0, 300.0, {})


def test_a_score_below_the_marginal_one_fails_at_the_next_measurement():  # R4
    verdict = decided(analysis(), counts("errors", 0.05), now=120)
    assert verdict.judgement == "fail"
    assert verdict.sentence == (
        "score 0 of 100, 75 is needed: error rate 5.07 % over 12 measurements (stable: 0.265 % over 12), "
        "higher by 4.76 % to 4.84 % at 98 % confidence"
    )
    assert [(it.metric, it.critical) for it in verdict.metrics] == [("errors", False), ("score", True)]
    assert verdict.metrics[1].evidence == 0


def test_a_good_score_passes_at_the_end_of_the_hold_and_not_before():
    good = counts("errors", 0.002, number=29)
    assert decided(analysis(), good, now=299) is None
    verdict = decided(analysis(), good)
    assert verdict.judgement == "pass"
    assert verdict.sentence.startswith("score 100 of 100: error rate ")


def test_a_marginal_score_is_watched_to_the_end_and_fails_there():
    metrics = [ERRORS.model_copy(update={"name": f"e{n}", "critical": n > 0}) for n in range(4)]
    samples = [it for n in range(4) for it in counts(f"e{n}", 0.05 if n == 0 else 0.002)]
    spec = analysis(*metrics, pass_score=95, marginal_score=75)
    assert decided(spec, samples, now=120) is None
    verdict = decided(spec, samples)
    assert verdict.judgement == "fail"
    assert verdict.sentence.startswith("score 75 of 100, 95 is needed: error rate 5.07 %")


def test_a_metric_that_is_not_critical_counts_in_the_score():
    samples = counts("errors", 0.002) + counts("slow", 0.05)
    verdict = decided(analysis(ERRORS, SLOW), samples, now=120)
    assert (verdict.judgement, verdict.metrics[-1].value) == ("fail", 50)


@pytest.mark.parametrize("baseline", [None, math.nan, math.inf])
@pytest.mark.parametrize("canary", [None, math.nan, 3.0])
def test_an_empty_or_broken_metric_never_passes(canary, baseline):  # R3
    queue = [
        Sample(metric="queue", at=10.0 * n, value=canary, stable_bad=baseline, stable_total=1.0) for n in range(1, 30)
    ]
    spec = analysis(ERRORS, QUEUE)
    good = counts("errors", 0.002, number=29)
    assert decided(spec, good + queue, now=319) is None
    verdict = decided(spec, good + queue, now=320)
    assert verdict.judgement == "inconclusive"
    assert verdict.sentence.startswith("could not measure queue: ")
    assert decided(spec, counts("errors", 0.05) + queue).judgement == "fail"  # what is known is bad enough


def test_a_metric_that_cannot_decide_any_more_leaves_nothing_open():
    spec = analysis(ERRORS, QUEUE, group_weights={"default": 100}, pass_score=50, marginal_score=10)
    assert decided(spec, counts("errors", 0.002)).judgement == "pass"


def test_too_few_points_are_inconclusive_and_say_so():  # R13
    verdict = decided(analysis(), counts("errors", 0.05, number=9), now=320)
    assert verdict.judgement == "inconclusive"
    assert verdict.sentence == (
        "could not measure error rate: 9 usable measurements of the canary and 9 of stable, at least 10 of each are needed"
    )


def test_a_point_of_too_few_requests_is_none():  # R3
    verdict = decided(analysis(), counts("errors", 0.5, number=30, total=19.0), now=320)
    assert verdict.judgement == "inconclusive"
    assert verdict.sentence == "could not measure error rate: 19 requests, at least 20 are needed"


def test_a_metrics_service_that_is_away_says_nothing_about_the_app():  # R3
    gone = [Sample(metric="errors", at=10.0 * n, error="Prometheus does not answer") for n in range(10, 13)]
    verdict = decided(analysis(), counts("errors", 0.002, number=9) + gone, now=320)
    assert verdict.judgement == "error"
    assert verdict.sentence == "could not measure error rate: Prometheus does not answer"


def test_with_all_traffic_there_is_no_baseline_and_the_limit_decides():  # R18
    bad = [Sample(metric="errors", at=10.0 * n, bad=50.0, total=1000.0) for n in (1, 2)]
    verdict = decided(analysis(), bad, now=20, weight=100)
    assert verdict.sentence == "error rate 5 % over 1,000 requests, limit 1 %"


def test_a_fresh_baseline_is_called_so():  # R13
    verdict = decided(analysis(baseline="fresh"), counts("errors", 0.05), now=120)
    assert "(the baseline: 0.265 % over 12)" in verdict.sentence


def test_a_gauge_is_compared_with_the_baselines_value():
    spec = analysis(ERRORS, QUEUE.model_copy(update={"direction": "either"}))
    queue = [
        Sample(metric="queue", at=10.0 * n, value=1 + n / 100, stable_bad=9 + n / 100, stable_total=1.0)
        for n in range(1, 13)
    ]
    found = {it.metric: it for it in verdicts(spec, counts("errors", 0.002) + queue, over=False)}
    assert found["queue"].sentence == (
        "queue 1.065 over 12 measurements (stable: 9.065 over 12), lower by 7.96 to 8.04 at 98 % confidence"
    )
    assert found["score"].value == 50


@settings(max_examples=40)
@given(st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(rng):  # R6
    samples = counts("errors", 0.02) + counts("slow", 0.002)
    shuffled = list(samples)
    rng.shuffle(shuffled)
    spec = analysis(ERRORS, SLOW)
    assert verdicts(spec, shuffled, over=True) == verdicts(spec, samples, over=True)


# --- the specification ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "metrics", "said"),
    [
        ({"pass_score": 70, "marginal_score": 75}, [ERRORS], "a `marginal_score` that is not above"),
        ({"group_weights": {"a": 60, "b": 50}}, [ERRORS], "that add up to 100 at most"),
        (
            {"group_weights": {"latency": 50}},
            [ERRORS],
            "a metric in every group of `group_weights` is expected: latency",
        ),
        ({"group_weights": {"default": 50}}, [ERRORS], "that add up to 100 are expected"),
        ({}, [ERRORS.model_copy(update={"name": "score"})], "another name than `score`"),
    ],
)
def test_a_score_that_could_not_be_reached_is_refused(settings, metrics, said):  # R12
    with pytest.raises(ValidationError, match=said):
        analysis(*metrics, **settings)
