"""What a metric's plot shows (R13), and that it can be drawn and read."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from release_pipelines.core.judges.sequential import alpha_of_a_test, curve
from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.records import RecordedSample, RecordedVerdict, ReleaseDetail
from release_pipelines.core.verdicts import stage_verdict
from release_pipelines.features.report.drawing import DARK, svg
from release_pipelines.features.report.plots import MOST_POINTS, Plot, course, plots, thinned

START = 1764036000.0
ANALYSIS = Analysis.model_validate(
    {
        "metrics": [
            {"name": "errors", "source": "errors", "limit": "1%"},
            {"name": "cpu", "source": "cpu", "limit": "80%"},
            {"name": "queue", "query": "queue_length", "limit": 100},
        ]
    }
)
SVG = "{http://www.w3.org/2000/svg}"


def told(bad: Callable[[str, int], int], count: int = 12) -> ReleaseDetail:
    """A release through two steps; ``bad`` says how many of 500 requests of the canary are bad in an interval."""
    evidence: dict[str, object] = {}
    found, taken = [], []
    for n, (step, weight) in enumerate((("step_10", 10), ("step_50", 50))):
        samples, begun, verdict = [], START + n * 1000, None
        for k in range(1, count + 1):
            at = begun + 10 * k
            counts = {"bad": bad(step, k), "total": 500, "stable_bad": 3, "stable_total": 1000}
            samples += [
                Sample(metric="errors", at=at, **counts),
                Sample(metric="cpu", at=at, value=0.4),
                Sample(metric="queue", at=at, value=30.0) if k != 3 else Sample(metric="queue", at=at, error="away"),
            ]
            verdict = stage_verdict(
                step, weight, ANALYSIS, samples, at, begun + 10 * count, begun + 10 * count, evidence
            )
            if verdict:
                break
        assert verdict is not None
        evidence = verdict.evidence
        found.append(RecordedVerdict(environment="production", **verdict.model_dump()))
        taken += [RecordedSample(environment="production", step=step, **it.model_dump()) for it in samples]
    return ReleaseDetail(
        id="release_shop/one#0",
        app="shop",
        dag_id="release_shop",
        run_id="one",
        version="1.1.0",
        started_at=START,
        verdicts=found,
        measurements=taken,
    )


def drawn(release: ReleaseDetail) -> dict[str, Plot]:
    return {it.name: it for it in plots(release, {"step_10": ANALYSIS, "step_50": ANALYSIS})}


def test_every_metric_of_every_step_has_a_plot() -> None:
    assert list(drawn(told(lambda *_: 1))) == [
        f"production-{step}-{metric}" for step in ("step_10", "step_50") for metric in ("errors", "cpu", "queue")
    ]


def test_a_count_shows_both_shares_the_limit_and_the_decision() -> None:
    plot = drawn(told(lambda *_: 2))["production-step_10-errors"]
    assert plot.new == [(START + 10 * k, 2 / 500) for k in range(1, 13)]
    assert plot.stable == [(START + 10 * k, 3 / 1000) for k in range(1, 13)]
    assert (plot.limit, plot.unit, plot.measure) == (0.01, "share", "error rate")
    assert (plot.judgement, plot.decided_at) == ("pass", START + 120)
    assert plot.caption == "error rate 0.4 % over 6,000 requests, limit 1 % (stable: 0.3 %)"


def test_a_gauge_shows_its_values_and_what_could_not_be_measured() -> None:
    plot = drawn(told(lambda *_: 1))["production-step_10-queue"]
    assert (plot.unit, plot.evidence, plot.limit) == ("number", None, 100)
    assert [value for _, value in plot.new] == [30, 30, None, *[30] * 9]
    assert drawn(told(lambda *_: 1))["production-step_10-cpu"].unit == "share"


def test_the_evidence_goes_on_where_the_step_before_ended_and_passes_the_threshold_when_it_decides() -> None:
    release = told(lambda step, _: 1 if step == "step_10" else 20)
    first, second = (drawn(release)[f"production-{step}-errors"].evidence for step in ("step_10", "step_50"))
    assert first is not None
    assert second is not None
    errors = [it for it in release.measurements if it.metric == "errors"]
    whole = curve(ANALYSIS.metrics[0], errors)  # the same test, looked at over both steps at once
    assert [at for at, _ in (*first.against_stable, *second.against_stable)] == [at for at, *_ in whole]
    for got, wanted in (
        ([it for _, it in (*first.against_stable, *second.against_stable)], [it for _, it, _ in whole]),
        ([it for _, it in (*first.against_limit, *second.against_limit)], [it for *_, it in whole]),
    ):
        assert got == pytest.approx(wanted, abs=0.01)
    assert second.threshold == -math.log(alpha_of_a_test(ANALYSIS))
    above = [
        max(a, b) > second.threshold for (_, a), (_, b) in zip(second.against_stable, second.against_limit, strict=True)
    ]
    assert above == [False] * (len(above) - 1) + [True]


def test_a_step_that_ran_again_is_drawn_once_by_its_last_verdict() -> None:
    release = told(lambda *_: 1)
    early = release.verdicts[0].model_copy(update={"decided_at": START + 50, "judgement": "inconclusive"})
    again = drawn(release.model_copy(update={"verdicts": [early, *release.verdicts]}))
    assert again == drawn(release)


def test_without_the_analysis_the_numbers_are_drawn_all_the_same() -> None:
    plot = plots(told(lambda *_: 1), {})[0]
    assert (plot.measure, plot.unit, plot.evidence) == ("errors", "share", None)


def test_a_release_that_was_not_judged_has_no_plots() -> None:
    assert plots(told(lambda *_: 1).model_copy(update={"verdicts": [], "measurements": []}), {}) == []


def test_a_long_step_is_summed_up_and_no_event_is_lost() -> None:
    samples = [
        RecordedSample(metric="errors", environment="e", step="s", at=float(n), bad=1, total=10, stable_bad=0)
        for n in range(8640)
    ]
    few = thinned(samples)
    assert len(few) == MOST_POINTS
    assert (sum(it.bad or 0 for it in few), sum(it.total or 0 for it in few)) == (8640, 86400)
    assert few[-1].at == 8639


@pytest.mark.parametrize("name", ["errors", "cpu", "queue"])
def test_a_drawing_is_small_and_its_words_are_words(name: str) -> None:
    plot = drawn(told(lambda step, _: 1 if step == "step_10" else 20))[f"production-step_50-{name}"]
    text = svg(plot)
    assert len(text) < 60_000
    words = " ".join("".join(it.itertext()).strip() for it in ElementTree.fromstring(text).iter(f"{SVG}text"))
    for word in ("shop 1.1.0", f"{plot.judgement} ", "limit ", "1.1.0 (new)", "time (UTC), 2025-11-25"):
        assert word in words, word
    assert ("error rate, %" in words, "1/alpha = 2,000" in words, "stable" in words) == ((name == "errors"),) * 3
    assert svg(plot) == text  # again: the same


def test_the_whole_release_is_one_picture_with_its_traffic_and_every_metric() -> None:
    release = told(lambda step, _: 1 if step == "step_10" else 20)
    (whole,) = course(release, list(drawn(release).values()))
    assert whole.name == "production-release"
    assert [it[1:] for it in whole.steps] == [("step_10", "pass"), ("step_50", "fail")]
    assert [percent for _, percent in whole.shares] == [10, 50, 0]
    assert [[it.metric for it in steps] for steps in whole.metrics] == [[it] * 2 for it in ("errors", "cpu", "queue")]
    text = svg(whole)
    assert len(text) < 100_000
    words = " ".join("".join(it.itertext()).strip() for it in ElementTree.fromstring(text).iter(f"{SVG}text"))
    for word in (
        "shop 1.1.0 · the whole release",
        "step_10",
        "step_50",
        "limit 1 %",
        "new version, %",
        "error rate, %",
    ):
        assert word in words, word
    style = re.search(r"<style>.*?</style>", text)
    assert style is not None
    assert set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", text.replace(style.group(), ""))) <= DARK.keys()


def test_a_release_of_one_step_is_drawn_by_its_metrics_alone() -> None:
    release = told(lambda *_: 20)
    assert len(release.verdicts) > 1
    alone = release.model_copy(update={"verdicts": release.verdicts[:1]})
    assert course(alone, list(drawn(alone).values())) == []


def test_every_colour_has_a_dark_one() -> None:
    text = svg(drawn(told(lambda step, _: 1 if step == "step_10" else 20))["production-step_50-errors"])
    style = re.search(r"<style>@media \(prefers-color-scheme:dark\)\{.*?\}</style>", text)
    assert style is not None
    used = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", text.replace(style.group(), "")))
    assert used
    assert used <= DARK.keys()


def test_signs_that_mean_something_elsewhere_are_drawn_as_they_are() -> None:
    plot = drawn(told(lambda *_: 1))["production-step_10-errors"]._replace(caption="a < b & $c$ {x}")
    words = ["".join(it.itertext()).strip() for it in ElementTree.fromstring(svg(plot)).iter(f"{SVG}text")]
    assert "a < b & $c$ {x}" in words


def test_plots_without_numbers_cost_no_import() -> None:
    code = (
        "import sys, release_pipelines.features.outcome.operators, release_pipelines.features.report.drawing;"
        "print(any(name.startswith(('matplotlib', 'numpy')) for name in sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "False"
