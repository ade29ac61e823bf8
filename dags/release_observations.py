"""The DAG `release_observations`: looks what runs in each environment now."""

from __future__ import annotations

from pathlib import Path

from release_pipelines.features.observations.dag import observations_dag
from release_pipelines.spec.folders import apps_folder, config_folder

project = Path(__file__).parents[1]

# Airflow looks only into files in which its name stands.
dag = observations_dag(apps_folder(project), config_folder(project))
