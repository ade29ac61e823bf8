"""One DAG `release_<app>` for every app file in `include/apps/`."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import get_parsing_context

from release_pipelines.pipeline.release import release_dag
from release_pipelines.spec.folders import apps_folder, config_folder
from release_pipelines.spec.frozen import app_of, dag_id, dag_specs

project = Path(__file__).parents[1]

only = app_of(get_parsing_context().dag_id)
for spec in dag_specs(apps_folder(project), config_folder(project), only):
    globals()[dag_id(spec.app.name)] = release_dag(spec)
