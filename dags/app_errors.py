"""Raises one error that names every mistake in the files of apps and trains: Airflow shows it as this file's import error.

A file of its own: one that raises makes all of its DAGs stale, and a broken app file must not take the others' away.
"""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import get_parsing_context

from release_pipelines.pipeline.release import dag_errors
from release_pipelines.spec.folders import apps_folder, calendars_folder, config_folder, trains_folder
from release_pipelines.spec.release import app_errors, release_specs
from release_pipelines.spec.trains import train_errors

project = Path(__file__).parents[1]

if get_parsing_context().dag_id is None:
    apps, config = apps_folder(project), config_folder(project)
    errors = [*map(str, app_errors(apps, config)), *dag_errors(release_specs(apps, config))]
    errors += map(str, train_errors(trains_folder(project), apps, calendars_folder(project)))
    if errors:
        raise ValueError("\n".join(errors))
