"""Airflow plugin: the listener."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from release_pipelines.airflow import listener


class ReleasePipelinesPlugin(AirflowPlugin):
    """The listener that writes a release's outcome into its run's note."""

    name = "release_pipelines"
    listeners = [listener]
