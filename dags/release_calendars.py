"""The DAG `release_calendars`: fetches the calendars in `include/calendars/` that are kept elsewhere, if there are any."""

from __future__ import annotations

from pathlib import Path

from release_pipelines.features.calendars.dag import calendars_dag
from release_pipelines.spec.folders import calendars_folder

# Airflow looks only into files in which its name stands.
dag = calendars_dag(calendars_folder(Path(__file__).parents[1]))
