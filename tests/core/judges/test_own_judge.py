"""A judge of another package decides stages like ours."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from pydantic import ValidationError

from release_pipelines.core import seams
from release_pipelines.core.model.analysis import Analysis, Metric
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.verdict import MetricVerdict
from release_pipelines.core.ports.judge import JUDGES, Judge, Judged
from release_pipelines.core.verdicts import stage_verdict


class Patient(Judge):
    """Passes when there are three samples more than the stage before had, and is sure at once."""

    ends_early = True

    def verdicts(
        self,
        analysis: Analysis,
        samples: list[Sample],
        evidence: Mapping[str, Any],
        weight: int,
        *,
        over: bool = False,
        known: Any = None,
    ) -> list[Judged]:
        enough = len(samples) >= 3 + evidence.get("queue", {}).get("samples", 0)
        verdict = MetricVerdict(
            metric="queue", judgement="pass" if enough else "inconclusive", limit=0, sentence=f"{len(samples)} samples"
        )
        return [Judged(verdict, sure=enough, state={"samples": len(samples)})]


JUDGE = Patient()
METRICS = [{"name": "queue", "query": "depth", "limit": 5}]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("patient", f"{__name__}:JUDGE", JUDGES.group)
    found = {JUDGES.group: {entry.name: [seams.Extension(entry, "acme-judges")]}}
    monkeypatch.setattr(seams, "extensions", lambda: found)


def samples(number: int) -> list[Sample]:
    return [Sample(metric="queue", at=10.0 * n, value=1) for n in range(number)]


@pytest.mark.usefixtures("installed")
def test_it_decides_a_stage_early_and_goes_on_from_the_one_before() -> None:
    analysis = Analysis.model_validate({"judge": "patient", "metrics": METRICS})
    assert stage_verdict("step_5", 5, analysis, samples(2), 60, 30, 300, {}) is None
    verdict = stage_verdict("step_5", 5, analysis, samples(3), 60, 30, 300, {})
    assert verdict
    assert (verdict.judgement, verdict.sentence, verdict.evidence) == ("pass", "3 samples", {"queue": {"samples": 3}})
    assert stage_verdict("step_25", 25, analysis, samples(3), 60, 30, 300, verdict.evidence) is None


@pytest.mark.usefixtures("installed")
def test_it_has_no_curve_and_keeps_metrics_that_cannot_be_measured_as_reports() -> None:
    metric = Metric.model_validate(METRICS[0])
    assert JUDGE.evidence(Analysis(metrics=[metric]), metric, samples(3), None) is None
    assert JUDGE.without(metric) == metric.model_copy(update={"critical": False})


def test_a_judge_that_is_not_installed_is_a_mistake() -> None:  # R12
    with pytest.raises(ValidationError, match="'sequential', 'threshold' or 'kayenta'"):
        Analysis.model_validate({"judge": "patient", "metrics": METRICS})
