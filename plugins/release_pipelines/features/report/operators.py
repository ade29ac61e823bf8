"""Plots and the incident report of a release that has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release_pipelines.airflow.ending import noted
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.target import Target
from release_pipelines.features.report.incident_report import REPORT, incident_report, what_to_do
from release_pipelines.spec.feature import Ended

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.features.report.plots import Course, Plot


def explain(ended: Ended) -> None:
    """Attach one SVG for each metric and stage, one of them all together for each environment and, where the outcome needs one, the incident report.

    What is to be done, and the report, are put on ``ended``, for whoever tells them.
    """
    history = HistoryHook().history()
    with noted("The plots could not be drawn"):
        _draw(history, ended)
    if ended.incident:
        with noted("The incident report could not be written"):
            _report(history, ended)


def _draw(history: History, ended: Ended) -> None:
    """The library that draws is imported only where there is something to draw."""
    from release_pipelines.features.report.plots import course, plots

    drawn = plots(ended.detail, ended.analyses)
    pictures: list[Plot | Course] = [*course(ended.detail, drawn), *drawn]
    for plot in pictures:
        from release_pipelines.features.report.drawing import svg

        history.attach(ended.detail.id, f"{plot.name}.svg", "image/svg+xml", svg(plot))


def _report(history: History, ended: Ended) -> None:
    detail, environment = ended.detail, ended.target.environment
    observed, stability = _observe(ended.target), history.stability(ended.target.app, environment)
    names = [it.name for it in history.attachments(detail.id) if it.media_type == "image/svg+xml"]
    report = incident_report(detail, environment, stability, names, observed, ended.steps)
    history.attach(detail.id, REPORT, "text/markdown", report)
    ended.steps, ended.report = [*what_to_do(detail, environment, stability, observed), *ended.steps], report


def _observe(target: Target) -> Observed | None:
    """What runs now: a report says where the traffic is, and not where it should be."""
    with noted("It could not be seen where the traffic is"):
        return PlatformHook(target).call(lambda platform: platform.observe(target))
    return None
