"""Page ``/releases/runs/<DAG id>/<run id>``: one release, now and afterwards."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from release_pipelines.adapters.history import UnknownRelease
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.pages.access import NOT_YOURS, Refused
from release_pipelines.pages.app import Looking
from release_pipelines.pages.html import page

router = APIRouter(prefix="/runs/{dag_id}/{run_id}")


@router.get("")
def release(request: Request, viewer: Looking, dag_id: str, run_id: str) -> HTMLResponse:
    """The release of a run."""
    history = HistoryHook().history()
    try:
        found = history.release(f"{dag_id}/{run_id}")
    except UnknownRelease:
        found = None
    if found is not None and not viewer.sees(found):
        raise Refused(403, NOT_YOURS)
    return page(request, "release.html", viewer=viewer, release=found)
