"""Airflow plugin: the listener and the timetable."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from release_pipelines.airflow import listener
from release_pipelines.airflow.timetable import MaintenanceWindowTimetable


class ReleasePipelinesPlugin(AirflowPlugin):
    """The listener that writes a release's outcome into its run's note, and the timetable of windows."""

    name = "release_pipelines"
    listeners = [listener]
    timetables = [MaintenanceWindowTimetable]
