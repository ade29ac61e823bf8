"""Page ``/releases/runs/<DAG id>/<run id>``: one release, now and afterwards."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from release_pipelines.adapters.history import UnknownRelease
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.pages.access import NOT_YOURS, Refused
from release_pipelines.pages.app import Looking
from release_pipelines.pages.html import page, render
from release_pipelines.pages.live import streams
from release_pipelines.pages.saying import Told, told

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History, ReleaseDetail
    from release_pipelines.adapters.history.pulse import News
    from release_pipelines.pages.access import Viewer

router = APIRouter(prefix="/runs/{dag_id}/{run_id}")


class One:
    """One release, live."""

    def __init__(self, dag_id: str, run_id: str) -> None:
        self.dag_id, self.release = dag_id, f"{dag_id}/{run_id}"
        self.key: Hashable = self.release
        self._app: str | None = None

    def touched(self, news: News) -> bool:
        """By what is new of it, or of what its app runs."""
        return news.everything or self.release in news.releases or self._app in news.apps

    def read(self, history: History) -> ReleaseDetail | None:
        """The release; None: the history does not know it."""
        try:
            found = history.release(self.release)
        except UnknownRelease:
            return None
        self._app = found.app
        return found

    def sight(self, data: ReleaseDetail | None, viewer: Viewer) -> Hashable:
        """Who may read the DAG sees all of it."""
        if not (viewer.may("GET", self.dag_id) and (data is None or viewer.sees(data))):
            raise Refused(403, NOT_YOURS)
        return True

    def parts(self, request: Request, data: ReleaseDetail | None, sight: object) -> dict[str, str]:
        """What became of it."""
        return {"release": render(request, "parts/release.html", release=data)}

    def told(self, data: ReleaseDetail | None, sight: object) -> Sequence[Told]:
        """Each change of its state."""
        return told(data) if data else ()


@router.get("")
def release(request: Request, viewer: Looking, dag_id: str, run_id: str) -> HTMLResponse:
    """The release of a run."""
    live = One(dag_id, run_id)
    found = live.read(HistoryHook().history())
    live.sight(found, viewer)
    return page(request, "release.html", viewer=viewer, release=found)


streams(router, lambda request: One(request.path_params["dag_id"], request.path_params["run_id"]))
