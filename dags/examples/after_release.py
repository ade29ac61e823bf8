"""What a data team does with releases: a DAG that runs when a new version of an app holds in production.

Airflow does not make one run for each event: of three releases within a second it begins a run for the first, which has only that one among its triggering events.
`held_releases` gives the task all that it has not had yet, each once; also those of a time in which this DAG was paused.
"""

from __future__ import annotations

from airflow.sdk import DAG, Asset, task

from release_pipelines import held_releases

STOREFRONT = Asset("release://production/storefront")

with DAG(
    dag_id="after_release",
    description="Takes note of every version of the storefront that held in production",
    schedule=[STOREFRONT],
    catchup=False,
    max_active_runs=1,
    tags=["example"],
) as dag:

    @task(inlets=[STOREFRONT])
    def take_note() -> list[str]:
        """Every release that held since the last time, in their order."""
        return [f"{it.extra['version']} ({it.extra['digest']})" for it in held_releases(STOREFRONT)]

    take_note()
