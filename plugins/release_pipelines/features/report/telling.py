"""When a release has ended: its plots and its incident report go to the history, and people are told.

All of it comes after the outcome is recorded, and none of it can change it: what fails here is noted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.notice import Notice, notice_of
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.target import Target
from release_pipelines.core.ports.notifier import NotSent
from release_pipelines.features.notify.notifiers import notifier
from release_pipelines.features.notify.spec import NotifySpec, named
from release_pipelines.features.report.incident_report import REPORT, incident_report, what_to_do

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.adapters.history import History
    from release_pipelines.core.model.records import ReleaseDetail

log = logging.getLogger(__name__)


def explain_and_tell(
    context: Context,
    release: str,
    target: Target,
    notify: Sequence[NotifySpec],
    *,
    incident: bool,
    analyses: Mapping[str, Analysis] | None = None,
) -> None:
    """Attach what explains the outcome, then tell it. Never raises; again for the same outcome it tells nobody twice.

    :param release: the release's id; its outcome is recorded.
    :param target: the app in the environment that counts.
    :param notify: who is told.
    :param incident: whether the outcome is one that needs a report.
    :param analyses: how each step was judged, by its name, for the plots' evidence.
    """
    with _noted("The outcome could not be explained"):
        history = HistoryHook().history()
        detail = history.release(release)
        environment = target.environment
        with _noted("The plots could not be drawn"):
            _draw(history, detail, analyses or {})
        steps: list[str] = []
        report: str | None = None
        if incident:
            with _noted("The incident report could not be written"):
                steps, report = _report(history, detail, target)
        _tell(context, history, detail, notice_of(detail, environment, run_url(context), steps, report), notify)


def run_url(context: Context) -> str | None:
    """The page of this run; None where Airflow does not know its own address (``api.base_url``)."""
    from airflow.sdk.configuration import conf

    run: Any = context["dag_run"]
    base = conf.get("api", "base_url", fallback=None)
    return f"{base.rstrip('/')}/dags/{run.dag_id}/runs/{quote(run.run_id, safe='')}" if base else None


def _draw(history: History, detail: ReleaseDetail, analyses: Mapping[str, Analysis]) -> None:
    """One SVG per metric and step. The library that draws is imported only where there is something to draw."""
    from release_pipelines.features.report.plots import plots

    for plot in plots(detail, analyses):
        from release_pipelines.features.report.drawing import svg

        history.attach(detail.id, f"{plot.name}.svg", "image/svg+xml", svg(plot))


def _report(history: History, detail: ReleaseDetail, target: Target) -> tuple[list[str], str]:
    observed, stability = _look(target), history.stability(target.app, target.environment)
    names = [it.name for it in history.attachments(detail.id) if it.media_type == "image/svg+xml"]
    report = incident_report(detail, target.environment, stability, names, observed)
    history.attach(detail.id, REPORT, "text/markdown", report)
    return what_to_do(detail, target.environment, stability, observed), report


def _look(target: Target) -> Observed | None:
    """What runs now: a report says where the traffic is, and not where it should be."""
    with _noted("It could not be seen where the traffic is"):
        return PlatformHook(target).call(lambda platform: platform.observe(target))
    return None


def _tell(
    context: Context, history: History, detail: ReleaseDetail, notice: Notice, notify: Sequence[NotifySpec]
) -> None:
    told = [it.data for it in detail.events if it.kind == "notified"]
    for spec in notify:
        receipt = {"receiver": named(spec), "outcome": notice.outcome}
        if notice.outcome not in spec.on or receipt in told:
            continue
        failure = _sent(context, spec, notice)
        with _noted("It could not be recorded who was told"):
            if failure is None:
                history.record_event(detail.id, "notified", f"{named(spec)}: {notice.outcome}", data=receipt)
            else:
                history.record_event(detail.id, "not_notified", f"{named(spec)}: {failure}", data=receipt)


def _sent(context: Context, spec: NotifySpec, notice: Notice) -> str | None:
    """Send; returns why it could not be sent."""
    try:
        notifier(spec, notice).notify(context)
    except NotSent as error:
        log.warning("Not notified by %s: %s.", named(spec), error)
        return str(error)
    except Exception as error:  # a receiver must not decide what a release came to
        log.warning("Not notified by %s.", named(spec), exc_info=True)
        return f"an unforeseen {type(error).__name__}; the log of the task says more"
    return None


@contextmanager
def _noted(what: str) -> Iterator[None]:
    """What comes after the outcome is worth a line in the log, and never a failed task."""
    try:
        yield
    except Exception:
        log.warning("%s.", what, exc_info=True)
