"""Page ``/releases/runs/<DAG id>/<run id>``: one release, now and afterwards."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.pages.app import Looking
from release_pipelines.pages.commands import actions
from release_pipelines.pages.html import page

router = APIRouter(prefix="/runs/{dag_id}/{run_id}")


@router.get("")
def release(request: Request, viewer: Looking, dag_id: str, run_id: str) -> HTMLResponse:
    """The release of a run."""
    history = HistoryHook().history()
    id_ = history.newest_life(dag_id, run_id)
    found = history.release(id_) if id_ else None
    told = actions(viewer, history, found) if found else None
    return page(request, "release.html", viewer=viewer, release=found, actions=told)
