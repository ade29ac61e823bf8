"""The app that Airflow mounts below ``/releases``: all pages, behind :class:`~release_pipelines.pages.access.Access`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from release_pipelines.adapters.history import HistoryUnavailable
from release_pipelines.pages.access import Access, Refused, Viewer, answer

log = logging.getLogger(__name__)
HERE = Path(__file__).parent


def viewer(request: Request) -> Viewer:
    """Who looks, for a route: ``viewer: Looking``."""
    return request.state.viewer  # type: ignore[no-any-return]


Looking = Annotated[Viewer, Depends(viewer)]


def create() -> FastAPI:
    """All pages."""
    from release_pipelines.pages import (
        audit,
        calendar,
        charts,
        commands,
        compare,
        delivery,
        metrics,
        overview,
        release,
        remarks,
        report,
    )
    from release_pipelines.pages.deliveries import Deliveries
    from release_pipelines.pages.hub import Hub
    from release_pipelines.pages.reading import Reading

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.hub = Hub()
    app.state.reading = Reading()
    app.add_middleware(Access)
    app.state.deliveries = Deliveries()
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    for module in (overview, release, charts, commands, report, remarks, compare, calendar, delivery, metrics, audit):
        app.include_router(module.router)

    @app.exception_handler(Refused)
    async def refused(request: Request, refusal: Refused) -> Response:
        return answer(request, refusal)

    @app.exception_handler(HistoryUnavailable)
    async def away(request: Request, error: Any) -> Response:
        log.error("%s", error)
        return answer(request, Refused(503, "The history of releases does not answer now: try again soon."))

    @app.exception_handler(RequestValidationError)
    async def unreadable(request: Request, error: Any) -> Response:
        found = error.errors()[0]
        where = ".".join(str(it) for it in found["loc"] if it != "body") or "body"
        return answer(request, Refused(422, f"{where}: {found['msg']}."))

    @app.exception_handler(AnyHTTPException)
    async def failed(request: Request, error: Any) -> Response:
        return answer(request, Refused(error.status_code, str(error.detail)))

    return app
