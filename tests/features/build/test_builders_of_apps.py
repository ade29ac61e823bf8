"""What an app's file asks of its builder, as tasks and as mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from release_pipelines.features.build import FEATURE
from release_pipelines.features.build.spec import BuildSpec
from release_pipelines.pipeline.release import release_dag
from tests.features.build.test_operators import spec

ADDRESS = Path("https:/git.example/shop.git")  # the helper makes a text of it
CODEBUILD = {"kind": "codebuild", "connection": "aws_builds", "settings": {"project": "shop"}}
JOB = {"kind": "kubernetes_job", "settings": {"image": "moby/buildkit:rootless", "namespace": "builds"}}
REPOSITORY = "https://git.example/shop.git"


def tasks(**build: Any) -> dict[str, Any]:
    made = spec(ADDRESS, **{"repository": REPOSITORY, **build})
    return {it.task_id: it for it in release_dag(made).tasks}


def mistakes(**build: Any) -> list[tuple[str, str]]:
    return [(it.path, it.expected) for it in FEATURE.mistakes(spec(ADDRESS, **{"repository": REPOSITORY, **build}))]


def test_a_file_of_before_is_built_as_before() -> None:
    found = tasks()
    build, push = found["build.build_image"], found["push_image"]
    assert type(build).__name__ == "ImageBuildOperator"
    assert (build.platforms, build.cache, build.provenance, build.reproducible) == ([], None, False, False)
    assert (push.tags, push.tagged) == ([], False)
    assert BuildSpec(repository="r").model_dump(context={"earlier": True}).keys() == {
        "repository", "git_connection", "context", "dockerfile", "target", "test_target", "args", "timeout",
    }  # fmt: skip


def test_what_a_file_asks_for_reaches_the_tasks() -> None:
    asked = {"platforms": ["linux/amd64", "linux/arm64"], "cache": "registry", "provenance": True, "reproducible": True}
    found = tasks(**asked, tags=["commit", "latest"])
    build = found["build.build_image"]
    assert {key: getattr(build, key) for key in asked} == asked
    assert (found["push_image"].tags, found["push_image"].tagged) == (["commit", "latest"], False)


@pytest.mark.parametrize("builder", [CODEBUILD, JOB])
def test_a_builder_elsewhere_builds_and_tags_itself(builder: dict[str, Any]) -> None:
    found = tasks(builder=builder)
    build = found["build.build_image"]
    assert type(build).__name__ == "RemoteImageBuildOperator"
    assert (build.kind, build.settings) == (builder["kind"], builder["settings"])
    assert build.builder_conn_id == builder.get("connection", "engine")
    assert found["push_image"].tagged is True
    assert mistakes(builder=builder) == []


def test_the_apps_tests_are_a_job_that_pushes_nothing() -> None:
    test = tasks(builder=JOB, test_target="test")["build.test"]
    assert (type(test).__name__, test.target, test.pushes) == ("RemoteImageBuildOperator", "test", False)


@pytest.mark.parametrize(
    ("build", "key", "expected"),
    [
        ({"builder": {"kind": "codebuild"}}, "build.builder.settings", "`project`"),
        ({"builder": {**JOB, "settings": {"image": "i", "retries": 99}}}, "build.builder.settings", "`retries`"),
        ({"builder": JOB, "secrets": {"a": {"variable": "a"}}}, "build.secrets", "it reads its own"),
        ({"builder": CODEBUILD, "platforms": ["linux/arm64"]}, "build.builder", "cannot be asked of CodeBuild"),
        ({"builder": CODEBUILD, "test_target": "test"}, "build.builder", "`build.test_target`"),
        ({"builder": JOB, "repository": "shop"}, "build.builder", "an address is expected"),
    ],
)
def test_what_a_builder_elsewhere_cannot_is_a_mistake(build: dict[str, Any], key: str, expected: str) -> None:  # R12
    [(found, sentence)] = mistakes(**build)
    assert found == key
    assert expected in sentence


@pytest.mark.parametrize(
    "build",
    [
        {"platforms": ["arm64"]},
        {"platforms": ["linux/amd64,type=local"]},
        {"platforms": ["linux/amd64", "linux/amd64"]},
        {"tags": ["newest"]},
        {"cache": "s3"},
        {"builder": {"kind": "jenkins"}},
    ],
)
def test_values_that_are_none_are_refused(build: dict[str, Any]) -> None:  # R12
    with pytest.raises(ValidationError):
        BuildSpec.model_validate({"repository": "r", **build})
