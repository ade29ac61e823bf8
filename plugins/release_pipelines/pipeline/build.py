"""From a version to a digest: checkout, tests, scans, image; or an image that was built elsewhere."""

from __future__ import annotations

from typing import Any

from airflow.sdk import TaskGroup

from release_pipelines.core.templates import field
from release_pipelines.features.build.operators import (
    ImageBuildOperator,
    ImagePushOperator,
    ImageTestOperator,
    ResolveCommitOperator,
    ResolveDigestOperator,
)
from release_pipelines.features.scan.operators import ScanOperator
from release_pipelines.pipeline.common import COLOURS
from release_pipelines.spec.release import ReleaseSpec

VERSION = field("preflight", "version")
RUNNING_COMMIT = "{{ ((ti.xcom_pull(task_ids='preflight') or {}).get('before') or {}).get('commit') or '' }}"


def build_group(spec: ReleaseSpec) -> tuple[Any, Any]:
    """The build's first task, and its last: the one that gives the artifact."""
    app, connections = spec.app, spec.environments[0].connections
    image = app.image or app.name
    build = app.build
    if build is None:
        with TaskGroup(group_id="build", ui_color=COLOURS["build"]):
            resolve = ResolveDigestOperator(
                task_id="resolve_digest",
                app=app.name,
                image=image,
                version=VERSION,
                registry_conn_id=connections.registry,
            )
        return resolve, resolve
    source: dict[str, Any] = {"repository": build.repository, "git_conn_id": build.git_connection}
    # Commit and push stand outside of the groups: a group that another one leads back into is drawn after it.
    commit = ResolveCommitOperator(
        task_id="resolve_commit", version=VERSION, since=RUNNING_COMMIT, branch=build.branch, **source
    )
    at: dict[str, Any] = {"commit": field("resolve_commit", "commit"), "context": build.context, **source}
    engine: dict[str, Any] = {
        "image": image,
        "version": VERSION,
        "dockerfile": build.dockerfile,
        "args": build.args,
        "engine_conn_id": connections.engine,
        "registry_conn_id": connections.registry,
        "timeout": build.timeout,
        **at,
    }
    push = ImagePushOperator(
        task_id="push_image",
        app=app.name,
        image=image,
        version=VERSION,
        commit=at["commit"],
        engine_conn_id=engine["engine_conn_id"],
        registry_conn_id=connections.registry,
    )
    with TaskGroup(group_id="build", ui_color=COLOURS["build"]):
        commit >> ImageBuildOperator(task_id="build_image", target=build.target, **engine) >> push
        if build.test_target:
            commit >> ImageTestOperator(task_id="test", target=build.test_target, **engine) >> push
    with TaskGroup(group_id="scan", ui_color=COLOURS["build"]):
        for scanner in app.scan.scanners:
            scan = ScanOperator(
                task_id=scanner,
                scanner=scanner,
                dockerfile=build.dockerfile,
                block_on=app.scan.block_on,
                **at,
            )
            commit >> scan >> push
    return commit, push
