"""One DAG `train_<name>` for every file in `include/trains/`; what is wrong in these is told by `app_errors.py`."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import get_parsing_context

from release_pipelines.pipeline.train import train_dags
from release_pipelines.spec.folders import apps_folder, calendars_folder, config_folder, trains_folder
from release_pipelines.spec.trains import train_specs

project = Path(__file__).parents[1]

# Airflow looks only into files in which its name stands.
apps = apps_folder(project)
specs = train_specs(trains_folder(project), apps, calendars_folder(project), get_parsing_context().dag_id)
globals().update(train_dags(specs, apps, config_folder(project)))
