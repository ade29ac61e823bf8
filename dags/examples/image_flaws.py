"""What an image is made of, and which known flaws that has: by records in OSV format that lie on the worker, without the internet."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from release_pipelines.operators import AdvisoryScanOperator, ResolveDigestOperator, SbomOperator

with DAG(
    dag_id="image_flaws",
    description="Lists the components of an image, and looks them up in advisories",
    schedule=None,
    catchup=False,
    params={"version": Param("1.4.0", type="string")},
    tags=["example"],
) as dag:
    image = ResolveDigestOperator(
        task_id="image",
        app="shop",
        image="shop",
        version="{{ params.version }}",
        registry_conn_id="sandbox_registry",
    )
    digest = "{{ ti.xcom_pull('image')['digest'] }}"
    sbom = SbomOperator(
        task_id="sbom",
        image="shop",
        digest=digest,
        registry_conn_id="sandbox_registry",
        folder="/srv/sboms",
    )
    advisories = AdvisoryScanOperator(
        task_id="advisories",
        image="shop",
        digest=digest,
        registry_conn_id="sandbox_registry",
        osv=["/srv/osv/PyPI.zip", "/srv/osv/Debian.zip"],
        older_than="2d",
        leave_out=["generic"],
    )
    image >> [sbom, advisories]
