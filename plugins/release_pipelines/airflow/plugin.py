"""Airflow plugin: the listener, the timetable, and where pushes are told."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from release_pipelines.airflow import listener
from release_pipelines.airflow.timetable import MaintenanceWindowTimetable


class Endpoint:
    """What Airflow mounts. Every process loads the plugin, and only the API server answers requests: there it is made."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request, as ASGI has it."""
        if self._app is None:
            from release_pipelines.airflow.endpoint import create

            self._app = create()
        await self._app(scope, receive, send)


class ReleasePipelinesPlugin(AirflowPlugin):
    """The listener that writes a release's outcome into its run's note, the timetable of windows, and the endpoint of pushes."""

    name = "release_pipelines"
    listeners = [listener]
    timetables = [MaintenanceWindowTimetable]
    fastapi_apps = [{"app": Endpoint(), "url_prefix": "/releases", "name": "Pushes"}]
