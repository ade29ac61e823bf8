"""The DAG that looks what runs now."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG

from release_pipelines.core.model.release_id import OBSERVATIONS_DAG
from release_pipelines.core.model.sighting import EVERY_SECONDS
from release_pipelines.features.observations.operators import ObserveAppsOperator


def observations_dag(apps: Path, config: Path) -> DAG:
    """The DAG ``release_observations``: one short task a minute looks at every environment of every app.

    :param apps: folder of the app files.
    :param config: folder of the environment files.
    """
    with DAG(
        dag_id=OBSERVATIONS_DAG,
        description="Looks what runs in each environment now",
        schedule="* * * * *",
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags=["release"],
        default_args={"owner": "release-managers", "execution_timeout": timedelta(seconds=2 * EVERY_SECONDS)},
        doc_md=(
            "# Observations\n\nLooks what runs in each environment of each app, and keeps it in the release history: `release status` and the page "
            "Releases show that, with its age. It reads the platforms, and changes nothing. While it is paused they say that nobody has looked."
        ),
    ) as dag:
        ObserveAppsOperator(task_id="observe", apps=apps, config=config)
    return dag
