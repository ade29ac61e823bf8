"""An image that somebody has pushed, looked at side by side: packages by two scanners, keys in all of its layers.

Each scanner is a program on the worker: trivy, grype, gitleaks (docs/scanners.md says what they need).
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from release_pipelines.operators import ImageScanOperator, ResolveDigestOperator

with DAG(
    dag_id="image_scans",
    description="Looks at an image of the registry, platform by platform",
    schedule=None,
    tags=["example"],
    params={
        "app": Param("shop", type="string", description="Repository in the registry"),
        "version": Param("1.0.0", type="string", description="Tag of the image"),
    },
) as dag:
    image = ResolveDigestOperator(
        task_id="image",
        app="shop",
        image="{{ params.app }}",
        version="{{ params.version }}",
        registry_conn_id="sandbox_registry",
    )
    image >> [
        ImageScanOperator(
            task_id=name,
            scanner=name,
            image="{{ params.app }}",
            digest="{{ ti.xcom_pull('image')['digest'] }}",
            registry_conn_id="sandbox_registry",
            block_on="critical",
            memory="2Gi",
        )
        for name in ("trivy", "grype", "secrets")
    ]
