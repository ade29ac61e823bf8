"""An image in Amazon ECR that the registry itself has looked at: its findings are waited for, without a worker.

The connection is one of AWS; an image that is named with its host brings its account and region.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from release_pipelines.sensors import EcrImageScanSensor

with DAG(
    dag_id="ecr_scan",
    description="Waits for Amazon ECR's own scan of an image",
    schedule=None,
    tags=["example"],
    params={
        "repository": Param("shop", type="string", description="With or without the registry's host"),
        "digest": Param("sha256:" + "0" * 64, type="string", description="Of an image, or of an index"),
    },
) as dag:
    EcrImageScanSensor(
        task_id="scanned",
        image="{{ params.repository }}",
        digest="{{ params.digest }}",
        aws_conn_id="aws_default",
        block_on="critical",
        wait=900,
    )
