"""Page ``/releases/``: apps and environments, what runs there, and what is going on."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.pages.app import Looking
from release_pipelines.pages.html import page, render
from release_pipelines.pages.live import streams
from release_pipelines.pages.saying import Told, endings

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History, Release
    from release_pipelines.adapters.history.pulse import News
    from release_pipelines.pages.access import Viewer

router = APIRouter()


class Overview:
    """All releases, live."""

    key: Hashable = "overview"
    release = None

    def touched(self, news: News) -> bool:
        """By whatever is new."""
        return True

    def read(self, history: History) -> list[Release]:
        """All releases."""
        return history.releases()

    def sight(self, data: list[Release], viewer: Viewer) -> frozenset[str]:
        """Those DAGs whose releases the viewer may see."""
        return frozenset(viewer.readable({it.dag_id for it in data}))

    def parts(self, request: Request, data: list[Release], sight: frozenset[str]) -> dict[str, str]:
        """The table of releases."""
        return {"releases": render(request, "parts/releases.html", releases=_of(data, sight))}

    def told(self, data: list[Release], sight: frozenset[str]) -> Sequence[Told]:
        """Who begins and who ends."""
        return endings(_of(data, sight))


def _of(data: list[Release], sight: frozenset[str]) -> list[Any]:
    return [it for it in data if it.dag_id in sight]


@router.get("/")
def overview(request: Request, viewer: Looking) -> HTMLResponse:
    """All releases that the viewer may see."""
    live = Overview()
    data = live.read(HistoryHook().history())
    return page(request, "overview.html", viewer=viewer, releases=_of(data, live.sight(data, viewer)))


streams(router, lambda request: Overview())
