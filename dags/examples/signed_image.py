"""An image is signed, what it was built from is attested, and both are verified before anybody uses it.

The key is in the Airflow connection `signing_key`: its password is a private key as PEM. `cosign verify` knows the signature, too.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param

from release_pipelines.operators import (
    AttestOperator,
    AttestProvenanceOperator,
    ResolveCommitOperator,
    ResolveDigestOperator,
    SignImageOperator,
    VerifyImageOperator,
)

KEY = {"connection": "signing_key"}
BUILDER = "https://ci.example.org/builder"

with DAG(
    dag_id="signed_image",
    description="An image is signed and attested, and verified before it is used",
    schedule=None,
    tags=["example"],
    default_args={"retries": 1, "retry_delay": 1.0},
    params={
        "version": Param("1.0.0", type="string", description="Tag of the image"),
        "repository": Param("https://git.example.org/shop.git", type="string", description="URL or folder"),
    },
) as dag:
    image = ResolveDigestOperator(
        task_id="resolve", app="shop", image="shop", version="{{ params.version }}", registry_conn_id="sandbox_registry"
    )
    source = ResolveCommitOperator(
        task_id="resolve_commit", repository="{{ params.repository }}", version="{{ params.version }}"
    )
    signing: dict[str, Any] = {"artifact": image.output, "key": KEY, "registry_conn_id": "sandbox_registry"}
    provenance = AttestProvenanceOperator(
        task_id="attest_provenance",
        builder=BUILDER,
        repository="{{ params.repository }}",
        commit="{{ ti.xcom_pull('resolve_commit')['commit'] }}",
        **signing,
    )
    review = AttestOperator(
        task_id="attest_review",
        predicate_type="https://example.org/review/v1",
        predicate='{"version": "{{ params.version }}"}',
        **signing,
    )
    sign = SignImageOperator(task_id="sign", **signing)
    verify = VerifyImageOperator(
        task_id="verify",
        artifact=image.output,
        registry_conn_id="sandbox_registry",
        demand={"keys": [{"name": "ours", **KEY}], "provenance": {"builders": [BUILDER]}},
    )
    [image, source] >> provenance >> review >> sign >> verify
