"""The app that Airflow mounts below ``/releases``: all pages, behind :class:`~release_pipelines.pages.access.Access`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from release_pipelines.pages.access import Access, Refused, Viewer, answer

HERE = Path(__file__).parent


def viewer(request: Request) -> Viewer:
    """Who looks, for a route: ``viewer: Looking``."""
    return request.state.viewer  # type: ignore[no-any-return]


Looking = Annotated[Viewer, Depends(viewer)]


def create() -> FastAPI:
    """All pages."""
    from release_pipelines.pages import calendar, delivery, metrics, overview, release
    from release_pipelines.pages.deliveries import Deliveries

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Access)
    app.state.deliveries = Deliveries()
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    for module in (overview, release, calendar, delivery, metrics):
        app.include_router(module.router)

    @app.exception_handler(Refused)
    async def refused(request: Request, refusal: Refused) -> Response:
        return answer(request, refusal)

    @app.exception_handler(AnyHTTPException)
    async def failed(request: Request, error: Any) -> Response:
        return answer(request, Refused(error.status_code, str(error.detail)))

    return app
