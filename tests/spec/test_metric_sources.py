"""A metric source of another package: what it is asked, and what becomes of its answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict

from release_pipelines.core import seams
from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.analysis import Analysis, Metric
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.model.target import Target
from release_pipelines.core.ports.metrics import METRIC_SOURCES, Measuring, MetricSource, MetricsService, Place
from release_pipelines.core.ports.platform import Platform
from release_pipelines.core.progression.measuring import Measurer, check_metrics
from release_pipelines.core.verdicts import stage_verdict
from release_pipelines.spec.loader import SpecError
from release_pipelines.spec.release import load_release
from release_pipelines.spec.schema import schemas
from release_pipelines.spec.stages import metrics_of
from tests.fakes import World, target
from tests.spec.conftest import Project

APP = """
analysis:
  interval: 10
  metrics: [{name: jobs, source: queue_length, limit: 12, options: %s}]
"""


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    queue: str
    oldest: int = 60


class QueueLength(MetricSource):
    """Has as many jobs as the canary has letters, and cannot be asked at 1020."""

    options = Options

    def counts(self, metric: Metric) -> bool:
        return False

    def label(self, metric: Metric) -> str:
        return f"length of {Options.model_validate(metric.options).queue}"

    def unit(self, metric: Metric) -> Literal["share", "number"]:
        return "number"

    def mistakes(self, where: str, metric: Metric, places: Sequence[Place]) -> Iterator[Mistake]:
        if metric.options.get("queue") == "none":
            yield f"{where}.options.queue", "`none`", f"a queue of {places[0].name}"

    async def check(self, target: Target, metric: Metric, platform: Platform) -> None:
        if metric.options["queue"] == "gone":
            raise ReleaseError(f"There is no queue gone in {target.environment}.")

    async def samples(self, measuring: Measuring, due: list[float]) -> list[Sample]:
        if 1020.0 in due:
            raise ReleaseError("the broker is away")
        value = len(measuring.track) * measuring.memory.setdefault("times", 1)
        measuring.memory["times"] += 1
        return [Sample(metric=measuring.metric.name, at=at, value=value) for at in due]


METRIC_SOURCE = QueueLength()


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("queue_length", f"{__name__}:METRIC_SOURCE", METRIC_SOURCES.group)
    found = {METRIC_SOURCES.group: {entry.name: [seams.Extension(entry, "acme-queues")]}}
    monkeypatch.setattr(seams, "extensions", lambda: found)


def load(project: Project, options: str):
    return load_release(project.app(APP % options), project.config, project.analyses)


async def test_it_measures_what_is_due_and_its_error_is_the_samples(project: Project) -> None:
    async def nobody(_: str) -> MetricsService:
        return None  # type: ignore[return-value]

    analysis = load(project, "{queue: mails}").analysis.model_copy(update={"judge": "threshold"})
    measurer = Measurer(target(), "canary", "stable", analysis, nobody)
    for now in (1010.0, 1020.0, 1030.0):
        await measurer.take(World().platform(), 1000.0, now)
    assert [(it.value, it.error) for it in measurer.samples] == [(6, None), (None, "the broker is away"), (12, None)]
    verdict = stage_verdict("step_5", 5, analysis, measurer.samples, 1030.0, 1030.0, 1030.0, {})
    assert verdict
    assert (verdict.judgement, verdict.sentence) == ("pass", "length of mails 12, limit 12")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            "{}",
            "storefront.yaml: analysis.metrics[0].options.queue: found nothing, expected a value: this key is required",
        ),
        ("{queue: mails, oldest: often}", "analysis.metrics[0].options.oldest: found `often`, expected a whole number"),
        (
            "{quue: mails, queue: a}",
            "analysis.metrics[0].options.quue: found an unknown key, expected one of queue, oldest; did",
        ),
        ("{queue: none}", "analysis.metrics[0].options.queue: found `none`, expected a queue of staging"),
    ],
)
def test_a_mistake_in_its_options_is_one_sentence(project: Project, options: str, sentence: str) -> None:  # R12
    with pytest.raises(SpecError) as caught:
        load(project, options)
    assert sentence in str(caught.value)


def test_a_source_of_ours_takes_no_options(project: Project) -> None:  # R12
    metric = "{name: errors, source: errors, limit: 1%, options: {code: 500}}"
    with pytest.raises(SpecError) as caught:
        load_release(project.app(f"analysis: {{metrics: [{metric}]}}"), project.config, project.analyses)
    assert str(caught.value) == (
        "storefront.yaml: analysis.metrics[0].options: found the keys code, expected none: source `errors` takes no options"
    )


async def test_it_looks_itself_before_a_release_begins(project: Project) -> None:
    await check_metrics(target(), metrics_of(load(project, "{queue: mails}")), World().platform())
    with pytest.raises(ReleaseError, match="There is no queue gone"):
        await check_metrics(target(), metrics_of(load(project, "{queue: gone}")), World().platform())


def test_editors_know_it() -> None:
    source = json.loads(schemas()["analysis.schema.json"])["$defs"]["Metric"]["properties"]["source"]
    assert source["anyOf"][0]["enum"] == ["errors", "slow_requests", "cpu", "memory", "alb", "queue_length"]
    assert Analysis.model_json_schema()["$defs"]["Metric"]["properties"]["source"] == source
