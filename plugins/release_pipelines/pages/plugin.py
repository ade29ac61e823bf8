"""Airflow plugin: the listener, the timetable, the pages, and where pushes are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from release_pipelines.airflow import listener
from release_pipelines.airflow.timetable import MaintenanceWindowTimetable

PREFIX = "/releases"
HOOKS = "/hooks/"
AROUND = "release_pipelines.around"
"""Under this a request knows Airflow's own app, which it came through."""


class Endpoint:
    """What Airflow mounts. Every process loads the plugin, and only the API server answers requests: there its parts are made."""

    def __init__(self) -> None:
        self._apps: dict[str, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request, as ASGI has it."""
        if scope["type"] == "lifespan":
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        scope[AROUND] = scope.get("app")
        app = self._made("hooks", _hooks) if path.startswith(HOOKS) else self._made("pages", _pages)
        await app(scope, receive, send)

    def _made(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._apps:
            self._apps[name] = make()
        return self._apps[name]


def _hooks() -> Any:
    from release_pipelines.airflow.endpoint import create

    return create()


def _pages() -> Any:
    from release_pipelines.pages.app import create

    return create()


class ReleasePipelinesPlugin(AirflowPlugin):
    """The listener that writes a release's outcome into its run's note, the timetable of windows, the pages, and the endpoint of pushes."""

    name = "release_pipelines"
    listeners = [listener]
    timetables = [MaintenanceWindowTimetable]
    fastapi_apps = [{"app": Endpoint(), "url_prefix": PREFIX, "name": "Releases"}]
    # Relative addresses: Airflow may be served below a path.
    external_views = [
        {"name": "Releases", "href": "releases/", "destination": "nav", "url_route": "releases", "category": "browse"},
        {
            "name": "Release",
            "href": "releases/runs/{DAG_ID}/{RUN_ID}",
            "destination": "dag_run",
            "url_route": "release",
        },
    ]
