"""What a data team does with releases: a DAG that runs when a new version of an app holds in production.

Airflow does not make one run for each event: three releases within seconds may come as one run, or as two. So the task goes through all
events of its run. While this DAG is paused nothing is kept for it: events of that time start no run later.
"""

from __future__ import annotations

from airflow.sdk import DAG, Asset, task

STOREFRONT = Asset("release://production/storefront")

with DAG(
    dag_id="after_release",
    description="Takes note of every version of the storefront that held in production",
    schedule=[STOREFRONT],
    catchup=False,
    tags=["example"],
) as dag:

    @task
    def take_note(triggering_asset_events=None) -> list[str]:
        """Every release of this run, in the order in which they held."""
        events = sorted(triggering_asset_events[STOREFRONT], key=lambda it: it.timestamp)
        return [f"{it.extra['version']} ({it.extra['digest']})" for it in events]

    take_note()
