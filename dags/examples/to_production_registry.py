"""An image goes to the registry of production, by its digest and with all that belongs to it, and is waited for in another region."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from release_pipelines.operators import ImageCopyOperator
from release_pipelines.sensors import ImageReplicatedSensor

with DAG(
    dag_id="to_production_registry",
    description="Copies an image to production's registry, with its SBOM and its signatures",
    schedule=None,
    tags=["example"],
    default_args={"retries": 1, "retry_delay": 1.0},
    params={"version": Param("1.0.0", type="string", description="Tag of the image")},
) as dag:
    copy = ImageCopyOperator(
        task_id="copy",
        image="storefront",
        reference="{{ params.version }}",
        registry_conn_id="sandbox_registry",
        to_registry_conn_id="production_registry",
        tag="{{ params.version }}",
    )
    everywhere = ImageReplicatedSensor(
        task_id="everywhere",
        registry_conn_id="production_registry",
        image="storefront",
        digest="{{ ti.xcom_pull('copy')['digest'] }}",
        places=["eu-west-1"],
    )
    copy >> everywhere
