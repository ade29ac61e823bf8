"""Page ``/releases/``: apps and environments, what runs there, and what is going on."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.pages.app import Looking
from release_pipelines.pages.html import page

router = APIRouter()


@router.get("/")
def overview(request: Request, viewer: Looking) -> HTMLResponse:
    """All releases that the viewer may see."""
    releases = HistoryHook().history().releases()
    mine = viewer.readable({it.dag_id for it in releases})
    return page(request, "overview.html", viewer=viewer, releases=[it for it in releases if it.dag_id in mine])
