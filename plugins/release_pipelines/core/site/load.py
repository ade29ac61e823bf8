"""Load: from the numbers of one run to a verdict, by the judges that stages have, against those of the last good release."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from release_pipelines.core.model.analysis import Analysis, Metric
from release_pipelines.core.model.base import Stored
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.ports.judge import JUDGES

COUNTED = {"errors": "http_req_failed", "slow": "slow_requests"}
"""Metrics to what they are called in k6's summary."""
DROPPED = 0.05
"""Share of the requests that may stay unsent, before nobody can say that the load was the one asked for."""


class NotMeasured(ValueError):
    """The run says nothing about the app; the message says why."""


class Load(Stored):
    """What one run came to."""

    definition: str = Field(description="What was asked for, as a short hash: only runs of one kind are compared")
    counts: dict[str, tuple[int, int]] = Field(description="Metrics to bad events and all events")
    crossed: list[str] = Field(default_factory=list, description="The script's own thresholds that were not kept")


def definition(settings: Mapping[str, Any], script: str) -> str:
    """A short hash of what makes another test of it."""
    return hashlib.sha256(json.dumps([settings, script], sort_keys=True).encode()).hexdigest()[:12]


def load_of(summary: Mapping[str, Any], exit_code: int, kind: str) -> Load:
    """What k6's summary says.

    In `--summary-export` a threshold is ``true`` where it was *crossed*, and ``passes`` of `http_req_failed` are the requests that failed.

    :param summary: the file, as JSON.
    :param exit_code: 0, or 99 where thresholds were crossed.
    :param kind: see :func:`definition`.
    :raises NotMeasured: when there is nothing to judge, or the summary and the exit code contradict each other.
    """
    metrics = summary["metrics"]
    counts = {}
    for name, called in COUNTED.items():
        if called in metrics:
            bad, good = int(metrics[called]["passes"]), int(metrics[called]["fails"])
            counts[name] = (bad, bad + good)
    if not counts.get("errors", (0, 0))[1]:
        raise NotMeasured("no request was sent")
    crossed = sorted(
        f"{name}: {it}" for name, metric in metrics.items() for it, over in metric.get("thresholds", {}).items() if over
    )
    if bool(crossed) != (exit_code == 99):
        raise NotMeasured(f"k6 ended with exit code {exit_code}, and its summary has {len(crossed)} crossed thresholds")
    dropped, sent = int(metrics.get("dropped_iterations", {}).get("count", 0)), counts["errors"][1]
    if dropped > DROPPED * (dropped + sent):
        raise NotMeasured(
            f"{dropped} of {dropped + sent} requests could not be sent in time: more `clients` or a lower `rate` is needed"
        )
    return Load(definition=kind, counts=counts, crossed=crossed)


def judged(load: Load, before: Load | None, metrics: list[Metric]) -> tuple[bool, str]:
    """Whether the version bears the load, and why, in a sentence without a full stop.

    :param before: what the last good release came to; None: there is none, or it was asked for something else.
    :param metrics: what is judged, with its limits.
    :raises NotMeasured: when there are too few requests to judge.
    """
    analysis = Analysis(metrics=[it for it in metrics if it.name in load.counts])
    samples = [_sample(name, load, before) for name in load.counts]
    found = JUDGES.get(analysis.judge).verdicts(analysis, samples, {}, 50, over=True)
    unclear = [it.verdict for it in found if it.verdict.judgement in ("inconclusive", "error") and not it.undecided]
    if unclear:
        raise NotMeasured("; ".join(it.sentence.rstrip(".") for it in unclear))
    told = [it.verdict.sentence.rstrip(".") for it in found] + [f"crossed {it}" for it in load.crossed]
    missing = [it.name for it in metrics if it.name not in load.counts]
    told += [f"{name} is not counted by this script" for name in missing]
    good = all(it.verdict.judgement == "pass" for it in found) and not load.crossed
    return good, "; ".join(told)


def _sample(name: str, load: Load, before: Load | None) -> Sample:
    bad, total = load.counts[name]
    beside = before.counts.get(name) if before else None
    stable = {"stable_bad": beside[0], "stable_total": beside[1]} if beside else {}
    return Sample(metric=name, at=0, bad=bad, total=total, value=bad / total, **stable)
