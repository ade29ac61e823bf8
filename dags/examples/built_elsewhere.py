"""Commits built by others: a project of Amazon CodeBuild, and a Job of Kubernetes. Each gives the digest that its build itself names.

Both need connections: `aws_builds` of type `aws`, `build_cluster` of type `kubernetes`, and `registry`.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param

from release_pipelines.operators import ImagePushOperator, RemoteImageBuildOperator, ResolveCommitOperator

commit = "{{ ti.xcom_pull('resolve_commit')['commit'] }}"
source: dict[str, Any] = {"repository": "{{ params.repository }}", "commit": commit}
image: dict[str, Any] = {"version": "{{ params.version }}", "registry_conn_id": "registry"}

with DAG(
    dag_id="built_elsewhere",
    description="A commit built by CodeBuild and by a Job of Kubernetes",
    schedule=None,
    tags=["example"],
    params={
        "repository": Param("https://git.example.org/shop.git", type="string", description="Address"),
        "version": Param("1.0.0", type="string", description="Tag of the commit, and of the image"),
    },
) as dag:
    resolve = ResolveCommitOperator(
        task_id="resolve_commit", repository="{{ params.repository }}", version="{{ params.version }}"
    )
    by_codebuild = RemoteImageBuildOperator(
        task_id="by_codebuild",
        kind="codebuild",
        builder_conn_id="aws_builds",
        settings={"project": "shop-images", "region": "eu-central-1"},
        image="shop",
        **source,
        **image,
    )
    by_job = RemoteImageBuildOperator(
        task_id="by_job",
        kind="kubernetes_job",
        builder_conn_id="build_cluster",
        settings={"image": "moby/buildkit:rootless", "namespace": "builds", "registry_secret": "registry-login"},
        platforms=["linux/amd64", "linux/arm64"],
        image="shop-worker",
        **source,
        **image,
    )
    moved = ImagePushOperator(
        task_id="move_latest",
        app="shop",
        image="shop",
        commit=commit,
        digest="{{ ti.xcom_pull('by_codebuild')['digest'] }}",
        tagged=True,
        tags=["latest"],
        **image,
    )
    resolve >> [by_codebuild, by_job]
    by_codebuild >> moved
