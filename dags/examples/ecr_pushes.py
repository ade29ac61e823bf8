"""Pushes to Amazon ECR start releases: EventBridge puts its events into a queue, and a watcher makes them events of an asset.

A sandbox has no queue, so the watcher is left out here. With the amazon provider it is an argument of the asset:

    Asset("ecr_pushes", watchers=[AssetWatcher(name="sqs", trigger=SqsSensorTrigger(sqs_queue="https://sqs.…", waiter_delay=10))])

Whatever else posts an event of this asset with a registry's event as its ``extra`` does, too.
"""

from __future__ import annotations

from pathlib import Path

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Asset

from release_pipelines.operators import TakePushesOperator

include = Path(__file__).parents[2] / "include"

with DAG(
    dag_id="ecr_pushes",
    description="Takes what Amazon ECR tells, and lets its releases begin",
    schedule=[Asset("ecr_pushes")],
    catchup=False,
    tags=["example"],
) as dag:
    take = TakePushesOperator(task_id="take", apps=include / "apps", config=include / "config")
    begin = TriggerDagRunOperator(task_id="begin", trigger_dag_id="release_pushes", logical_date=None)
    take >> begin
