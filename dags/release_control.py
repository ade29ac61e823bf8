"""The DAG `release_control`: pause, resume, promote, skip or abort a running release."""

from __future__ import annotations

from pathlib import Path

from release_pipelines.features.commands.dag import control_dag
from release_pipelines.spec.folders import apps_folder, config_folder

project = Path(__file__).parents[1]

# Airflow looks only into files in which its name stands.
dag = control_dag(apps_folder(project), config_folder(project))
