"""R3: measurements, verdicts, and what follows from them."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.core.judges.sequential import JUDGE, curve
from release_pipelines.core.judges.threshold import measurement as judge
from release_pipelines.core.judges.threshold import metric_verdict
from release_pipelines.core.model.analysis import Analysis, Metric
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.progression.measuring import ticks
from release_pipelines.core.promql import window_at
from release_pipelines.core.verdicts import action, stage_verdict

ERRORS = Metric(name="errors", source="errors", limit=0.01, min_requests=20, failure_limit=1)
SLOW = Metric(name="slow", source="slow_requests", limit=0.01, slower_than=0.5)
QUEUE = Metric(name="queue", query="depth", limit=5, failure_limit=0)
CPU = Metric(name="cpu", source="cpu", limit=0.8, critical=False)
ANALYSIS = Analysis(
    judge="threshold", interval=10, window=30, min_measurements=1, error_limit=2, patience=20, metrics=[ERRORS]
)

NUMBERS = st.none() | st.floats(0, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf])
JUDGED = {
    "pass": {"bad": 0.0, "total": 100.0},
    "fail": {"bad": 5.0, "total": 100.0},
    "inconclusive": {"bad": 0.0, "total": 3.0},
    "error": {"error": "Prometheus does not answer"},
}
KINDS = st.lists(st.sampled_from(list(JUDGED)), max_size=12)


def samples(kinds, metric="errors", start=1000.0):
    return [Sample(metric=metric, at=start + 10 * n, **JUDGED[kind]) for n, kind in enumerate(kinds, 1)]


def step(kinds, now, analysis=ANALYSIS):
    return decided(analysis, samples(kinds), now)


def decided(analysis, taken, now, earliest=30.0, latest=30.0, evidence=None, hold=30.0):
    """The verdict ``now`` seconds after the stage began; its hold is over between ``earliest`` and ``latest``."""
    return stage_verdict(
        "step_10", 10, analysis, taken, 1000.0 + now, 1000.0 + earliest, 1000.0 + latest, evidence or {}, hold=hold
    )


# --- one measurement ------------------------------------------------------------------------------------------------


@given(st.sampled_from([ERRORS, SLOW, QUEUE, CPU]), NUMBERS, NUMBERS, NUMBERS, st.none() | st.just("down"))
def test_only_a_number_can_pass_or_fail(metric, bad, total, value, error):  # R3
    found = judge(metric, Sample(metric=metric.name, at=1, bad=bad, total=total, value=value, error=error))
    if found.judgement in ("pass", "fail"):
        assert error is None
        needed = (bad, total) if metric.counts else (value,)
        assert all(number is not None and math.isfinite(number) for number in needed)
    if error is not None:
        assert found.judgement == "error"


@pytest.mark.parametrize("total", [None, math.nan, math.inf, 0.0, 19.0])
def test_a_canary_with_no_traffic_is_inconclusive(total):  # R3
    assert judge(ERRORS, Sample(metric="errors", at=1, bad=0.0, total=total)).judgement == "inconclusive"


def test_too_few_requests_say_how_many_are_needed():  # R13
    found = judge(ERRORS, Sample(metric="errors", at=1, bad=3.0, total=12.0))
    assert found.reason == "12 requests, at least 20 are needed"


def test_a_missing_histogram_bucket_is_inconclusive_and_says_so():  # R3
    found = judge(SLOW, Sample(metric="slow", at=1, bad=None, total=100.0))
    assert found.judgement == "inconclusive"
    assert found.reason == "slow requests could not be counted: no histogram bucket ends at 0.5 s"


def test_the_limit_itself_still_passes():
    assert judge(ERRORS, Sample(metric="errors", at=1, bad=1.0, total=100.0)).judgement == "pass"
    assert judge(QUEUE, Sample(metric="queue", at=1, value=5.0)).judgement == "pass"
    assert judge(QUEUE, Sample(metric="queue", at=1, value=5.01)).judgement == "fail"


def test_a_failure_explains_itself_with_its_numbers():  # R13
    sample = Sample(metric="errors", at=1, bad=57.8, total=1204.2, stable_bad=3.0, stable_total=3000.0)
    assert judge(ERRORS, sample).reason == "error rate 4.8 % over 1,204 requests, limit 1 % (stable: 0.1 %)"


@pytest.mark.parametrize(
    ("metric", "sample", "sentence"),
    [
        (SLOW, {"bad": 30.0, "total": 100.0}, "share of requests over 0.5 s 30 % over 100 requests, limit 1 %"),
        (CPU, {"value": 0.913}, "CPU 91.3 %, limit 80 %"),
        (CPU, {"value": 1.2}, "CPU 120 %, limit 80 %"),
        (QUEUE, {"value": 12.5}, "queue 12.5, limit 5"),
        (
            Metric(name="checkout", bad="b", total="t", limit=0.02),
            {"bad": 1.0, "total": 40.0},
            "checkout 2.5 % over 40 events, limit 2 %",
        ),
    ],
)
def test_every_kind_of_metric_has_its_sentence(metric, sample, sentence):  # R13
    assert judge(metric, Sample(metric=metric.name, at=1, **sample)).reason == sentence


# --- one metric -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "judgement"),
    [
        ([], "inconclusive"),
        (["pass"], "pass"),
        (["fail"], "inconclusive"),  # one failure is tolerated, and neither confirmed nor cleared
        (["fail", "fail"], "fail"),
        (["fail", "pass", "fail", "pass"], "pass"),
        (["pass", "fail"], "inconclusive"),
        (["fail", "inconclusive", "fail"], "fail"),  # inconclusive does not end a row of failures
        (["fail", "error", "fail"], "fail"),
        (["fail", "fail", "pass", "pass"], "fail"),  # decided is decided
        (["inconclusive"] * 5, "inconclusive"),
        (["error", "error"], "inconclusive"),
        (["error", "error", "error"], "error"),
        (["error", "error", "error", "pass"], "pass"),  # the service is back
        (["pass", "error", "error"], "pass"),
        (["pass", "error", "error", "error"], "error"),
        (["error", "inconclusive", "error", "error"], "inconclusive"),  # an answer ends a row of errors
    ],
)
def test_rows_of_failures_and_errors(kinds, judgement):  # R3
    assert metric_verdict(ERRORS, samples(kinds), ANALYSIS).judgement == judgement


@given(KINDS, st.integers(0, 3))
def test_a_metric_fails_exactly_when_more_failures_than_tolerated_come_without_a_pass_between(kinds, tolerated):  # R3
    metric = ERRORS.model_copy(update={"failure_limit": tolerated})
    rows = "".join({"fail": "f", "pass": "p"}.get(kind, "") for kind in kinds).split("p")
    expected = max(len(row) for row in rows) > tolerated
    assert (metric_verdict(metric, samples(kinds), ANALYSIS).judgement == "fail") == expected


@given(KINDS, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(kinds, rng: random.Random):  # R6
    shuffled = samples(kinds)
    rng.shuffle(shuffled)
    assert metric_verdict(ERRORS, shuffled, ANALYSIS) == metric_verdict(ERRORS, samples(kinds), ANALYSIS)


@given(KINDS)
def test_a_metric_without_a_single_number_neither_passes_nor_fails(kinds):  # R3
    kinds = [kind for kind in kinds if kind in ("inconclusive", "error")]
    found = metric_verdict(ERRORS, samples(kinds), ANALYSIS)
    assert found.judgement in ("inconclusive", "error")
    assert found.value is None
    assert found.sentence.startswith("could not measure error rate: ")


@given(KINDS, st.integers(1, 4))
def test_a_metric_passes_only_with_enough_passes(kinds, needed):  # R3
    analysis = ANALYSIS.model_copy(update={"min_measurements": needed})
    if metric_verdict(ERRORS, samples(kinds), analysis).judgement == "pass":
        assert kinds.count("pass") >= needed


def test_samples_of_other_metrics_are_not_its_own():
    found = metric_verdict(ERRORS, samples(["fail"] * 5, metric="others"), ANALYSIS)
    assert (found.judgement, found.measurements) == ("inconclusive", 0)


# --- one step -------------------------------------------------------------------------------------------------------


def test_a_failing_step_is_decided_at_once():  # R4
    verdict = step(["fail", "fail"], now=20)
    assert verdict.judgement == "fail"
    assert verdict.decided_at == 1020
    assert verdict.sentence == "error rate 5 % over 100 requests, limit 1 %"


def test_a_passing_step_still_holds_to_its_end():
    assert step(["pass", "pass"], now=29.9) is None
    verdict = step(["pass", "pass", "pass"], now=30)
    assert (verdict.judgement, verdict.step, verdict.weight) == ("pass", "step_10", 10)


def test_an_inconclusive_step_waits_for_its_patience():  # R3
    assert step(["inconclusive"] * 3, now=49.9) is None
    verdict = step(["inconclusive"] * 5, now=50)
    assert verdict.judgement == "inconclusive"
    assert verdict.sentence == "could not measure error rate: 3 requests, at least 20 are needed"


def test_a_step_that_gets_its_numbers_late_passes():  # R3
    assert step(["inconclusive"] * 3 + ["pass"], now=40).judgement == "pass"


def test_a_step_without_any_measurement_is_inconclusive():  # R3
    assert step([], now=50).judgement == "inconclusive"


def test_an_outage_of_the_metrics_service_says_nothing_about_the_app():  # R3
    assert step(["error"] * 4, now=49) is None
    verdict = step(["error"] * 5, now=50)
    assert verdict.judgement == "error"
    assert verdict.sentence == "could not measure error rate: Prometheus does not answer"


def test_an_outage_that_ends_in_time_changes_nothing():  # R3
    assert step(["error"] * 3 + ["pass"], now=40).judgement == "pass"


def test_a_metric_that_is_not_critical_is_reported_and_decides_nothing():  # R3
    analysis = ANALYSIS.model_copy(update={"metrics": [ERRORS, CPU]})
    hot = [Sample(metric="cpu", at=1000.0 + 10 * n, value=0.99) for n in (1, 2, 3)]
    verdict = decided(analysis, samples(["pass"] * 3) + hot, now=30)
    assert verdict.judgement == "pass"
    assert [(metric.metric, metric.judgement) for metric in verdict.metrics] == [("errors", "pass"), ("cpu", "fail")]


def test_every_critical_metric_must_pass():  # R3
    analysis = ANALYSIS.model_copy(update={"metrics": [ERRORS, QUEUE]})
    verdict = decided(analysis, samples(["pass"] * 5), now=50)
    assert verdict.judgement == "inconclusive"
    assert verdict.sentence == "could not measure queue: no measurement was due"


@given(KINDS, st.floats(0, 200))
def test_a_step_never_fails_on_what_could_not_be_measured_nor_passes_on_it(kinds, now):  # R3
    verdict = step(kinds, now)
    if verdict and verdict.judgement == "pass":
        assert "pass" in kinds
        assert now >= 30
    if verdict and verdict.judgement == "fail":
        assert kinds.count("fail") > ERRORS.failure_limit


@given(KINDS)
def test_a_step_is_decided_when_hold_and_patience_are_over(kinds):  # R3
    assert step(kinds, now=50) is not None


@pytest.mark.parametrize(
    ("judgement", "on", "expected"),
    [
        ("pass", "rollback", "go_on"),
        ("fail", "continue", "rollback"),
        ("inconclusive", "rollback", "rollback"),
        ("inconclusive", "hold", "hold"),
        ("inconclusive", "continue", "go_on"),
        ("error", "rollback", "rollback"),
        ("error", "hold", "hold"),
        ("error", "continue", "go_on"),
    ],
)
def test_what_follows_from_a_verdict(judgement, on, expected):  # R3
    analysis = ANALYSIS.model_copy(update={"on_inconclusive": on, "on_error": on})
    verdict = step(["pass"] * 3, now=30).model_copy(update={"judgement": judgement})
    assert action(analysis, verdict) == expected


# --- the sequential judge ---------------------------------------------------------------------------------------------

SEQUENTIAL = Analysis(interval=10, patience=20, error_limit=2, metrics=[ERRORS])


def counted(bad, total=1000.0, stable_bad=3.0, stable_total=1000.0, number=3, metric="errors", start=1000.0):
    """``number`` measurements that counted the same."""
    return [
        Sample(
            metric=metric,
            at=start + 10 * n,
            bad=bad,
            total=total,
            stable_bad=stable_bad,
            stable_total=stable_total,
        )
        for n in range(1, number + 1)
    ]


def test_a_canary_that_is_surely_worse_than_stable_fails_at_once():  # R4
    verdict = decided(SEQUENTIAL, counted(9.0, stable_bad=3.0, stable_total=19_000.0, number=1), now=10)
    assert verdict.judgement == "fail"
    assert verdict.sentence == (
        "error rate 0.9 % over 1,000 requests, limit 1 % (stable: 0.0158 %), surely more than 1.05 times stable's"
    )


def test_a_canary_that_is_surely_above_the_limit_fails_without_stable():  # R4
    verdict = decided(SEQUENTIAL, counted(40.0, stable_total=None, number=1), now=10)
    assert verdict.sentence == "error rate 4 % over 1,000 requests, limit 1 %, surely above the limit"


def test_a_canary_beside_a_stable_that_is_as_bad_is_judged_by_the_limit_alone():
    both = counted(9.0, stable_bad=9.0, number=30)
    assert decided(SEQUENTIAL, both, now=300, earliest=300, latest=300).judgement == "pass"
    above = decided(SEQUENTIAL, counted(40.0, stable_bad=40.0), now=30)
    assert above.sentence.endswith("surely above the limit")


def test_a_few_bad_requests_over_the_limit_are_neither_evidence_nor_a_pass():
    """One failed request of 25 is 4 %, and says nothing: a threshold of 1 % would fail, and nobody would believe a pass."""
    few = counted(1.0, total=25.0, stable_bad=1.0, stable_total=475.0, number=1)
    assert decided(SEQUENTIAL, few, now=49) is None
    verdict = decided(SEQUENTIAL, few, now=50)
    assert verdict.judgement == "inconclusive"
    assert verdict.sentence == (
        "error rate 4 % over 25 requests, limit 1 % (stable: 0.211 %), over the limit, though not surely"
    )
    enough = [*few, *counted(0.0, total=100.0, number=1, start=1030.0)]
    assert decided(SEQUENTIAL, enough, now=45).judgement == "pass"


def test_what_is_over_its_limit_has_ten_times_the_hold_to_prove_something():
    patient = SEQUENTIAL.model_copy(update={"patience": None})
    few = counted(1.0, total=25.0, stable_bad=1.0, stable_total=475.0, number=1)
    times = {"earliest": 300.0, "latest": 300.0, "hold": 300.0}
    assert decided(patient, few, now=3299, **times) is None
    assert decided(patient, few, now=3300, **times).judgement == "inconclusive"
    nothing = counted(0.0, total=5.0, number=1)
    assert decided(patient, nothing, now=359, **times) is None
    assert decided(patient, nothing, now=360, **times).judgement == "inconclusive"


def suspicious():
    """Six of 900, where stable has two of 2,700: within the limit, and three to one that it is worse."""
    first, *others = counted(2.0, total=300.0, stable_bad=0.0, stable_total=900.0)
    return [first.model_copy(update={"stable_bad": 2.0}), *others]


def test_what_speaks_against_a_version_lets_it_pass_only_when_more_numbers_have_come_or_patience_has_ended():
    samples = suspicious()
    assert decided(SEQUENTIAL, samples, now=49) is None
    late = decided(SEQUENTIAL, samples, now=50)
    assert (late.judgement, late.sentence) == (
        "pass",
        "error rate 0.667 % over 900 requests, limit 1 % (stable: 0.0741 %), which speaks against it, though not surely",
    )
    more = [*samples, *counted(0.0, total=900.0, stable_bad=3.0, stable_total=2700.0, number=2, start=1030.0)]
    assert decided(SEQUENTIAL, more, now=45).judgement == "pass"


def test_a_bake_waits_for_nothing_that_only_stable_could_tell():
    """What was known when a person ended the step before stays as it is: all traffic is the version's."""
    before = decided(SEQUENTIAL, suspicious(), now=50)
    alone = counted(5.0, total=1000.0, stable_bad=0.0, stable_total=0.0, start=2000.0)
    assert decided(SEQUENTIAL, alone, now=30, evidence=before.evidence).judgement == "pass"


def test_a_bake_is_compared_with_what_stable_was():
    """With all of the traffic it has nothing beside it, and 0.8 % is within the limit."""
    before = decided(SEQUENTIAL, counted(1.0, stable_bad=10.0, stable_total=20_000.0, number=3), now=30)
    assert before.judgement == "pass"
    alone = {"stable_bad": 0.0, "stable_total": 0.0, "total": 5000.0, "number": 3, "start": 2000.0}
    worse = decided(SEQUENTIAL, counted(40.0, **alone), now=30, evidence=before.evidence)
    assert worse.judgement == "fail"
    assert worse.sentence.endswith("surely more than 1.05 times what stable had")
    as_good = decided(SEQUENTIAL, counted(3.0, **alone), now=30, evidence=before.evidence)
    assert as_good.judgement == "pass"


@given(bad=st.integers(0, 60), total=st.integers(20, 3000), limit=st.sampled_from([0.001, 0.01, 0.05]))
def test_no_pass_contradicts_its_numbers(bad, total, limit):
    metric = ERRORS.model_copy(update={"limit": limit})
    judged = SEQUENTIAL.model_copy(update={"metrics": [metric]})
    verdict = decided(judged, counted(min(bad, total), total=total, stable_bad=0.0, number=1), now=50)
    assert (verdict.judgement == "pass") <= (verdict.metrics[0].value <= limit)


def test_a_verdict_stands_whatever_is_measured_later():
    samples = counted(40.0, number=1) + counted(0.0, number=200, start=1010.0)
    assert decided(SEQUENTIAL, samples, now=2010).judgement == "fail"


@pytest.mark.parametrize("total", [0.0, 19.0])
def test_too_few_requests_are_inconclusive_for_the_sequential_judge_too(total):  # R3
    samples = counted(0.0, total=total, number=1)
    assert decided(SEQUENTIAL, samples, now=49) is None
    verdict = decided(SEQUENTIAL, samples, now=50)
    assert verdict.judgement == "inconclusive"
    assert verdict.sentence.startswith("could not measure error rate: ")


@pytest.mark.parametrize("broken", [None, math.nan, math.inf])
def test_what_is_no_number_is_no_evidence(broken):  # R3
    for samples in (counted(broken), counted(0.0, total=broken)):
        assert decided(SEQUENTIAL, samples, now=50).judgement == "inconclusive"
    unknown = decided(SEQUENTIAL, counted(0.0, stable_bad=broken), now=30)
    assert unknown.judgement == "pass"  # without stable there is still the limit
    assert "stable" not in unknown.sentence


def test_an_outage_is_an_error_for_the_sequential_judge_too():  # R3
    gone = [Sample(metric="errors", at=1030.0 + n, error="Prometheus does not answer") for n in range(3)]
    verdict = decided(SEQUENTIAL, counted(3.0) + gone, now=50)
    assert verdict.judgement == "error"
    assert verdict.sentence == "could not measure error rate: Prometheus does not answer"


def test_evidence_is_carried_from_stage_to_stage():  # R6
    little = counted(18.0, number=1)
    first = decided(SEQUENTIAL, little, now=50)
    assert first.judgement == "inconclusive"
    assert decided(SEQUENTIAL, little, now=30, evidence=first.evidence).judgement == "fail"
    both = counted(18.0, number=2)
    assert decided(SEQUENTIAL, both, now=20).metrics[0].evidence == pytest.approx(
        decided(SEQUENTIAL, little, now=30, evidence=first.evidence).metrics[0].evidence, abs=1e-3
    )


@pytest.mark.parametrize(
    "change", [{"limit": 0.001}, {"slower_than": 0.1}, {"tolerance": 3.0}, {"source": "slow_requests"}]
)
def test_evidence_belongs_to_the_test_that_found_it(change):  # R6
    kept = decided(SEQUENTIAL, counted(18.0, number=1), now=50).evidence
    [metric] = SEQUENTIAL.metrics
    other = SEQUENTIAL.model_copy(update={"metrics": [metric.model_copy(update=change)]})
    quiet = counted(0.0, number=1)
    assert decided(other, quiet, now=50, evidence=kept) == decided(other, quiet, now=50)
    said = metric.model_copy(update={"critical": True, "min_requests": 5})
    same = SEQUENTIAL.model_copy(update={"metrics": [said]})
    assert decided(same, quiet, now=50, evidence=kept).evidence != decided(same, quiet, now=50).evidence
    later = SEQUENTIAL.model_copy(update={"metrics": [metric.with_unknown({"seasons": 4})]})
    assert decided(later, quiet, now=50, evidence=kept) == decided(same, quiet, now=50, evidence=kept)
    earlier = {name: {key: it for key, it in state.items() if key != "of"} for name, state in kept.items()}
    assert decided(same, quiet, now=50, evidence=earlier) == decided(same, quiet, now=50, evidence=kept)


def test_alpha_is_shared_over_the_metrics():  # R3
    many = [ERRORS.model_copy(update={"name": f"errors-{n}"}) for n in range(20)]
    others = SEQUENTIAL.model_copy(update={"metrics": [ERRORS, *many]})
    found = next(bad for bad in range(1, 100) if decided(SEQUENTIAL, counted(float(bad), number=1), now=10))
    assert decided(others, counted(float(found), number=1), now=10) is None


@given(KINDS, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter_to_the_sequential_judge(kinds, rng):  # R6
    shuffled = samples(kinds)
    rng.shuffle(shuffled)
    assert decided(SEQUENTIAL, shuffled, now=500) == decided(SEQUENTIAL, samples(kinds), now=500)


def test_a_busy_canary_ends_its_hold_early_and_a_quiet_one_waits():
    busy, quiet = counted(3.0, number=12), counted(0.0, total=25.0, number=12)
    assert decided(SEQUENTIAL, busy, now=119, earliest=120, latest=600) is None
    early = decided(SEQUENTIAL, busy, now=120, earliest=120, latest=600)
    assert (early.judgement, early.decided_at) == ("pass", 1120)
    assert decided(SEQUENTIAL, quiet, now=120, earliest=120, latest=600) is None
    assert decided(SEQUENTIAL, quiet, now=599, earliest=120, latest=600) is None
    assert decided(SEQUENTIAL, quiet, now=600, earliest=120, latest=600).judgement == "pass"


def test_a_narrower_margin_waits_longer():
    narrow = SEQUENTIAL.model_copy(update={"metrics": [ERRORS.model_copy(update={"margin": 0.0005})]})
    busy = counted(3.0, number=12)
    assert decided(SEQUENTIAL, busy, now=120, earliest=120, latest=600) is not None
    assert decided(narrow, busy, now=120, earliest=120, latest=600) is None


def test_a_hold_ends_early_only_if_gauges_pass_too():
    analysis = SEQUENTIAL.model_copy(update={"metrics": [ERRORS, QUEUE]})
    busy = counted(3.0, number=12)
    assert decided(analysis, busy, now=120, earliest=120, latest=600) is None
    short = [Sample(metric="queue", at=1000.0 + 10 * n, value=2.0) for n in range(1, 13)]
    assert decided(analysis, busy + short, now=120, earliest=120, latest=600).judgement == "pass"


def test_a_paused_hold_never_ends_but_still_fails():
    paused = {"earliest": math.inf, "latest": math.inf}
    assert decided(SEQUENTIAL, counted(3.0, number=30), now=9000, **paused) is None
    assert decided(SEQUENTIAL, counted(40.0, number=30), now=9000, **paused).judgement == "fail"


def test_the_curve_ends_where_the_verdict_stands():
    taken = counted(5.0, number=6)
    points = curve(ERRORS, taken)
    assert [at for at, _, _ in points] == [sample.at for sample in taken]
    assert max(points[-1][1:]) == decided(SEQUENTIAL, taken, now=60).metrics[0].evidence


COUNTED = st.tuples(st.integers(0, 6), st.integers(0, 60), st.integers(0, 6), st.integers(0, 60))


@given(st.lists(st.none() | COUNTED, max_size=20), st.lists(st.integers(0, 20), max_size=4))
def test_samples_that_are_counted_as_they_come_amount_to_what_all_of_them_do(seen, looks):  # R6
    taken = [
        Sample(metric="errors", at=1010.0 + 10 * n, error="away")
        if it is None
        else Sample(
            metric="errors",
            at=1010.0 + 10 * n,
            bad=min(it[0], it[1]),
            total=it[1],
            stable_bad=it[2],
            stable_total=it[3],
        )
        for n, it in enumerate(seen)
    ]
    known = None
    for upto in sorted(looks):
        known = JUDGE.known(SEQUENTIAL, taken[:upto], {}, known)
    for now in (20.0, 40.0, 300.0):
        times = (1000.0 + now, 1030.0, 1060.0)
        whole = stage_verdict("step_10", 10, SEQUENTIAL, taken, *times, {})
        assert stage_verdict("step_10", 10, SEQUENTIAL, taken, *times, {}, known) == whole


# --- times ----------------------------------------------------------------------------------------------------------

TIMES = st.floats(1.6e9, 2e9)


@given(TIMES, st.floats(0.5, 600), st.floats(-100, 5000))
def test_measurements_are_due_at_absolute_times(started_at, interval, passed):  # R6
    due = ticks(started_at, interval, started_at + passed)
    assert all(started_at < tick <= started_at + passed for tick in due)
    assert due == [started_at + (k + 1) * interval for k in range(len(due))]
    assert started_at + (len(due) + 1) * interval > started_at + passed


@given(TIMES, st.floats(0.5, 600), st.floats(0, 5000), st.floats(0, 5000))
def test_a_restart_measures_at_the_same_times_again(started_at, interval, first, second):  # R6
    early, late = sorted((first, second))
    before, after = (ticks(started_at, interval, started_at + passed) for passed in (early, late))
    assert after[: len(before)] == before


@given(TIMES, st.floats(0.5, 600), st.floats(0, 5000), st.integers(0, 100))
def test_what_is_due_after_a_measurement_is_what_was_left(started_at, interval, passed, taken):  # R6
    due = ticks(started_at, interval, started_at + passed)
    after = due[min(taken, len(due) - 1)] if due else started_at
    assert ticks(started_at, interval, started_at + passed, after) == [tick for tick in due if tick > after]


@given(TIMES, st.floats(0, 5000), st.floats(0.5, 600))
def test_a_window_never_reaches_before_the_step(started_at, passed, window):  # R3
    analysis = ANALYSIS.model_copy(update={"window": window})
    tick = started_at + passed
    found = window_at(analysis, started_at, tick)
    assert 0 <= found <= window
    assert tick - found >= started_at or math.isclose(tick - found, started_at)
