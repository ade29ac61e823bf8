"""What people add to a release afterwards: ``/releases/runs/<DAG id>/<run id>/remarks``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse

from release_pipelines.adapters.history import History, ReleaseDetail
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.records import About
from release_pipelines.core.review.retrospective import retrospective
from release_pipelines.pages.access import Refused, Viewer, address_of
from release_pipelines.pages.app import Looking
from release_pipelines.pages.found import may, of_run
from release_pipelines.pages.html import render

router = APIRouter(prefix="/runs/{dag_id}/{run_id}/remarks")

ABOUT: dict[About, str] = {"expected": "What was expected", "happened": "What happened", "note": "Note"}
"""What a remark may be about, as people read it."""
RUNNERS = "Who may run the DAG may add remarks to its releases."


class New(BaseModel):
    """A remark that somebody sends."""

    model_config = ConfigDict(extra="forbid")

    about: About
    text: str


def retrospect(history: History, viewer: Viewer, release: ReleaseDetail) -> dict[str, Any]:
    """What the part ``parts/retrospective.html`` shows."""
    return {
        "facts": retrospective(release, history.durations_before(release.app, release.started_at)),
        "remarks": release.remarks,
        "abouts": ABOUT,
        "me": viewer.name,
        "may_remark": may(viewer, "POST", release),
    }


@router.post("")
def add(request: Request, viewer: Looking, dag_id: str, run_id: str, new: New) -> JSONResponse:
    """Add a remark to the run's release."""
    history = HistoryHook().history()
    release = _mine(history, viewer, dag_id, run_id)
    try:
        history.remark(release.id, new.about, new.text, viewer.name, address=address_of(request))
    except ValueError as error:
        raise Refused(422, str(error)) from error
    return _told(request, history, viewer, dag_id, run_id, "The remark was added.")


@router.delete("/{remark_id}")
def take_back(request: Request, viewer: Looking, dag_id: str, run_id: str, remark_id: int) -> JSONResponse:
    """Take one's own remark back."""
    history = HistoryHook().history()
    release = _mine(history, viewer, dag_id, run_id)
    if not history.take_back(release.id, remark_id, viewer.name, address=address_of(request)):
        if any(it.id == remark_id for it in release.remarks):
            raise Refused(403, "Only who wrote a remark may take it back.")
        raise Refused(404, "The release has no such remark: it was taken back already.")
    return _told(request, history, viewer, dag_id, run_id, "The remark was taken back.")


def _mine(history: History, viewer: Viewer, dag_id: str, run_id: str) -> ReleaseDetail:
    release = of_run(history, viewer, dag_id, run_id)
    if not may(viewer, "POST", release):
        raise Refused(403, RUNNERS)
    return release


def _told(request: Request, history: History, viewer: Viewer, dag_id: str, run_id: str, sentence: str) -> JSONResponse:
    """What was done, and the list as it is now."""
    release = of_run(history, viewer, dag_id, run_id)
    context = retrospect(history, viewer, release)
    parts = {"remarks": render(request, "parts/remarks.html", release=release, **context)}
    remarks = [it.model_dump(mode="json") for it in release.remarks]
    return JSONResponse(
        {"sentence": sentence, "remarks": remarks, "parts": parts}, headers={"Cache-Control": "no-store"}
    )
