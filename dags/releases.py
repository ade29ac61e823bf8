"""One DAG `release_<app>` for every app file in `include/apps/`."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import get_parsing_context

from release_pipelines.pipeline.release import release_dags
from release_pipelines.spec.folders import apps_folder, config_folder
from release_pipelines.spec.frozen import app_of, dag_specs

project = Path(__file__).parents[1]

# Airflow looks only into files in which its name stands.
only = app_of(get_parsing_context().dag_id)
specs = dag_specs(apps_folder(project), config_folder(project), only)
globals().update(release_dags(specs, alone=only is not None))
