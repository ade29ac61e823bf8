"""Page ``/releases/runs/<DAG id>/<run id>/report``: the incident report with its plots, and what people say afterwards."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from release_pipelines.adapters.history import ReleaseDetail
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.outcome import INCIDENT
from release_pipelines.core.trains.report import TRAIN_REPORT
from release_pipelines.features.report.incident_report import REPORT
from release_pipelines.pages.access import Refused
from release_pipelines.pages.app import Looking
from release_pipelines.pages.found import download, of_run
from release_pipelines.pages.html import page
from release_pipelines.pages.markdown import markdown
from release_pipelines.pages.remarks import retrospect

router = APIRouter(prefix="/runs/{dag_id}/{run_id}")

SVG = "image/svg+xml"
ALONE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "Cache-Control": "no-store",
}
"""Of a plot: opened by itself it is a document of this site, and a script in it would be ours."""


@router.get("/report")
def report(request: Request, viewer: Looking, dag_id: str, run_id: str) -> HTMLResponse:
    """The report of a run's release."""
    history = HistoryHook().history()
    release = of_run(history, viewer, dag_id, run_id)
    attached = history.attached(release.id)
    written = next((it for it in (REPORT, TRAIN_REPORT) if it in attached), None)
    kept = history.attachment(release.id, written) if written else None
    return page(
        request,
        "report.html",
        release=release,
        report=markdown(kept.content) if kept else None,
        why_not=None if kept else why_not(release),
        plots=[it for it, media_type in attached.items() if media_type == SVG],
        **retrospect(history, viewer, release),
    )


def why_not(release: ReleaseDetail) -> str:
    """Why a release has no report, in a sentence."""
    if release.outcome is None:
        return "There is no report yet: the release has not ended."
    if release.outcome in INCIDENT:
        return "There is no report: none could be written, or the release had changed nothing yet when it ended."
    outcome = release.outcome.replace("_", " ")
    return f"There is no report: one is written where a version did not stay in its last environment, and this release ended as {outcome}."


@router.get("/report.md")
def as_markdown(viewer: Looking, dag_id: str, run_id: str) -> Response:
    """The report as a file."""
    history = HistoryHook().history()
    release = of_run(history, viewer, dag_id, run_id)
    for name in (REPORT, TRAIN_REPORT):
        if kept := history.attachment(release.id, name):
            return download(kept.content, "text/markdown; charset=utf-8", f"{release.app}-{release.version}-{name}")
    raise Refused(404, why_not(release))


@router.get("/plots/{name}")
def plot(viewer: Looking, dag_id: str, run_id: str, name: str) -> Response:
    """A metric's plot."""
    history = HistoryHook().history()
    kept = history.attachment(of_run(history, viewer, dag_id, run_id).id, name)
    if kept is None or kept.media_type != SVG:
        raise Refused(404, "The release has no such plot.")
    return Response(kept.content, media_type=SVG, headers=ALONE)
