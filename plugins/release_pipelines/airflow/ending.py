"""When a release has ended: features explain the outcome in the history, then they tell people.

All of it comes after the outcome is recorded, and none of it can change it: what fails here is noted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.links import run_page
from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.target import Target
from release_pipelines.spec.environment import EnvironmentSpec
from release_pipelines.spec.feature import FEATURES, Ended

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.core.model.notice import Waiting
    from release_pipelines.core.model.records import ReleaseDetail

log = logging.getLogger(__name__)


def explain_and_tell(
    context: Context,
    release: str,
    target: Target,
    environment: EnvironmentSpec,
    *,
    incident: bool,
    analyses: Mapping[str, Analysis] | None = None,
    known: ReleaseDetail | None = None,
) -> None:
    """Let every feature explain the outcome, then let every feature tell it. Never raises.

    :param release: the release's id; its outcome is recorded.
    :param target: the app in the environment that counts.
    :param environment: that environment's settings.
    :param incident: whether the outcome is one that needs a report.
    :param analyses: how each stage was judged, by its name, for the plots' evidence.
    :param known: what is known of the release without the history, for when that does not answer.
    """
    with noted("The outcome could not be explained"):
        detail = _told(release, known)
        ended = Ended(context, detail, target, environment, incident, analyses or {})
        for name, feature in FEATURES.usable():
            with noted(f"{name} could not explain the outcome"):
                feature.explain(ended)
        for name, feature in FEATURES.usable():
            with noted(f"{name} could not tell the outcome"):
                feature.tell(ended)


def tell_all(
    context: Context,
    detail: ReleaseDetail,
    target: Target,
    environment: EnvironmentSpec,
    *,
    steps: list[str],
    report: str | None,
) -> None:
    """Let every feature tell an outcome that explains itself, like a train's. Never raises.

    :param detail: what has ended.
    :param target: where its receivers are.
    :param environment: that environment's settings.
    :param steps: what is to be done now, in Markdown.
    :param report: the report in Markdown.
    """
    ended = Ended(context, detail, target, environment, bool(steps), steps=steps, report=report)
    for name, feature in FEATURES.usable():
        with noted(f"{name} could not tell the outcome"):
            feature.tell(ended)


def _told(release: str, known: ReleaseDetail | None) -> ReleaseDetail:
    """The release as the history tells it; one that is away, or only reads, lacks the outcome, or all but that."""
    with noted("The history does not tell the release"):
        detail = HistoryHook().history().release(release)
        if detail.outcome or known is None:
            return detail
        return detail.model_copy(update={"outcome": known.outcome, "sentence": known.sentence})
    if known is None:
        raise ValueError(f"Nothing is known of {release}.")
    return known


def alarm(context: Context, release: str, target: Target, environment: EnvironmentSpec | None, sentence: str) -> None:
    """Let every feature tell people what cannot wait for the outcome. Never raises.

    :param sentence: what has happened, and what is done about it.
    """
    if environment is None:
        return
    with noted("Nobody could be called"):
        detail = HistoryHook().history().release(release)
        ended = Ended(context, detail, target, environment, incident=True)
        for name, feature in FEATURES.usable():
            with noted(f"{name} could not call anybody"):
                feature.alarm(ended, sentence)


def ask(
    context: Context,
    release: str,
    target: Target,
    environment: EnvironmentSpec | None,
    waiting: Waiting,
    known: ReleaseDetail | None = None,
) -> None:
    """Let every feature tell people that one of them is waited for. Never raises.

    :param waiting: what is asked, of whom, until when.
    :param known: what is known of the release without the history, for when that does not answer.
    """
    if environment is None:
        return
    with noted("Nobody could be told that a person is waited for"):
        ended = Ended(context, _told(release, known), target, environment, incident=False)
        for name, feature in FEATURES.usable():
            with noted(f"{name} could not tell that a person is waited for"):
                feature.ask(ended, waiting)


def task_url(context: Context, *, form: bool = False) -> str | None:
    """The page of this task; None where Airflow does not know its own address.

    :param form: the page on which its form is answered.
    """
    page, ti = run_url(context), context["ti"]
    return f"{page}/tasks/{quote(ti.task_id, safe='')}{'/required_actions' if form else ''}" if page else None


def run_url(context: Context) -> str | None:
    """The page of this run; None where Airflow does not know its own address (``api.base_url``)."""
    from airflow.sdk.configuration import conf

    run: Any = context["dag_run"]
    base = conf.get("api", "base_url", fallback=None)
    return run_page(base, run.dag_id, run.run_id) if base else None


@contextmanager
def noted(what: str) -> Iterator[None]:
    """Log an error of what comes after the outcome, instead of failing the task."""
    try:
        yield
    except Exception:
        log.warning("%s.", what, exc_info=True)
