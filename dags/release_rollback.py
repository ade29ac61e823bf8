"""The DAG `release_rollback`: back to a version that was good."""

from __future__ import annotations

from pathlib import Path

from release_pipelines.features.rollback.dag import rollback_dag
from release_pipelines.spec.folders import apps_folder, config_folder

project = Path(__file__).parents[1]

# Airflow looks only into files in which its name stands.
dag = rollback_dag(apps_folder(project), config_folder(project))
