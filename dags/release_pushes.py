"""The DAG `release_pushes`: starts releases of what was pushed."""

from __future__ import annotations

from pathlib import Path

from release_pipelines.features.pushes.dag import pushes_dag
from release_pipelines.spec.folders import apps_folder, config_folder

project = Path(__file__).parents[1]

# Airflow looks only into files in which its name stands.
dag = pushes_dag(apps_folder(project), config_folder(project))
