"""What is valid and may still be meant otherwise: it is read as it stands, and people are told how."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from release_pipelines.core.model.analysis import Analysis, Metric
from release_pipelines.core.model.source import Source, without_login
from release_pipelines.core.ports.metrics import source_of
from release_pipelines.spec.app import AppSpec

_PASSWORD = re.compile(r"https?://|[^/]*//[^/@\s]*:[^/@\s]*@")
"""Before what ssh and Git alone are asked for, a user is no secret."""
SURE_SHARE = 0.1
"""From this share of bad events on a bare number may be meant in percent: 0.1 may be a tenth, or a tenth of a percent."""
SURE_SECONDS = 10.0
"""Hardly any request is waited for that long: a bare number from here on may be meant in milliseconds."""
SURE_CORES = 100.0
"""From so many on a bare number may be meant in thousandths of a core."""


def remarks(
    app: AppSpec, analysis: Analysis, written: Mapping[str, Any], of_analysis: Mapping[str, Any]
) -> Iterator[str]:
    """Sentences, each with its place in the file, without a full stop.

    :param analysis: the app's, also where it stands in a file of its own.
    :param written: what stands in the app's file: values no longer say how they were written.
    :param of_analysis: what stands in the file of the analysis; empty where the app's file has it, or it is the built-in one.
    """
    file, settings, strategy = f"{app.name}.yaml", app.strategy.chosen, app.strategy.strategy
    if of_analysis:
        yield from analysis_remarks(f"{app.analysis}.yaml", analysis, of_analysis)
    elif isinstance(app.analysis, Analysis):
        for path, sentence in _metrics(analysis, written["analysis"]):
            yield f"{file}: analysis.{path}: {sentence}"
    for where, own, _ in strategy.judged(f"strategy.{app.strategy.name}", settings, analysis):
        if where is not None:
            for path, sentence in _metrics(own, _at(written, where)):
                yield f"{file}: {where}.{path}: {sentence}"
    source = app.part("build", Source)
    if source and without_login(source.repository) != source.repository and _PASSWORD.match(source.repository):
        yield f"{file}: build.repository: it has a login in it, which stands in this file for all to read: `git_connection` keeps it"
    for n, workload in enumerate(app.workloads):
        if workload.cpu is not None and workload.cpu >= SURE_CORES:
            cores = f"{workload.cpu:g} is read as so many cores: `{workload.cpu / 1000:g}` if thousandths of a core are meant"
            yield f"{file}: workloads[{n}].cpu: {cores}"


def analysis_remarks(file: str, analysis: Analysis, written: Mapping[str, Any]) -> Iterator[str]:
    """The same of an analysis in a file of its own."""
    for path, sentence in _metrics(analysis, written):
        yield f"{file}: {path}: {sentence}"


def _metrics(analysis: Analysis, written: Any) -> Iterator[tuple[str, str]]:
    for n, (metric, given) in enumerate(zip(analysis.metrics, _at(written, "metrics") or [], strict=False)):
        for key, sentence in _metric(metric, given):
            yield f"metrics[{n}].{key}", sentence


def _metric(metric: Metric, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if source_of(metric).unit(metric) == "share":
        for key in ("limit", "margin"):
            value = _bare(given.get(key))
            if value is not None and value >= (SURE_SHARE if metric.counts else 1):
                yield (
                    key,
                    f"{value:g} is read as {100 * value:g} %: `{value:g}%` if that is meant, else `{100 * value:g}%`",
                )
    seconds = _bare(given.get("slower_than"))
    if seconds is not None and seconds >= SURE_SECONDS:
        yield (
            "slower_than",
            f"{seconds:g} is read as {seconds:g} s: `{seconds:g}ms` if that is meant, else `{seconds:g}s`",
        )


def _bare(value: Any) -> float | None:
    """A number without a unit; None: it is none."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _at(written: Any, path: str) -> Any:
    """What stands at a path like ``strategy.canary.steps[1].analysis``; None: nothing that can be followed."""
    for part in path.replace("[", ".").replace("]", "").split("."):
        if isinstance(written, Mapping):
            written = written.get(part)
        elif isinstance(written, list) and part.isdigit() and int(part) < len(written):
            written = written[int(part)]
        else:
            return None
    return written
