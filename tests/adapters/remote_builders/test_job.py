"""Jobs that build: what they are, and whose word about the digest counts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.remote_builders._job import SCRIPT, Settings, job, standing
from release_pipelines.adapters.remote_builders.kubernetes_job import REMOTE_BUILDER
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.ports.builder import Publication
from release_pipelines.core.ports.remote_builder import Order

COMMIT = "b" * 40
OLD, NEW = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def order(**more: Any) -> Order:
    given = {
        "key": "dag/run/build/1",
        "repository": "https://ann:hunter2@git.example/shop.git",
        "commit": COMMIT,
        "publication": Publication("registry.example/shop"),
        "tag": "1.1.0",
        "version": "1.1.0",
    }
    return Order(**{**given, **more})


def container(settings: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = job(order(**more), Settings.model_validate({"image": "builder", **settings}))
    return made["spec"]["template"]["spec"]["containers"][0]


def test_buildkit_is_asked_for_the_commit_by_arguments_alone() -> None:
    publication = Publication(
        "registry.example/shop", ("linux/amd64", "linux/arm64"), "registry.example/shop:buildcache", True, 7
    )
    args = {"EVIL": "$(reboot); `x` \" '"}
    own = container({}, publication=publication, context="app", target="web", args=args, labels={"l": "1"})
    assert own["command"][:3] == ["sh", "-ec", SCRIPT]
    words = own["command"][4:]
    assert f"--opt=context=https://git.example/shop.git#{COMMIT}:app" in words
    assert {"--opt=platform=linux/amd64,linux/arm64", "--opt=target=web", "--opt=label:l=1"} <= set(words)
    assert {"--opt=attest:provenance=mode=min", "--opt=build-arg:SOURCE_DATE_EPOCH=7"} <= set(words)
    assert "--opt=build-arg:EVIL=$(reboot); `x` \" '" in words
    [output] = [it for it in words if it.startswith("--output")]
    assert output == '--output=type=image,"name=registry.example/shop:1.1.0",push=true,rewrite-timestamp=true'
    assert "hunter2" not in json.dumps(job(order(), Settings(image="builder")))


def test_kaniko_writes_its_digest_where_the_pod_ends() -> None:
    own = container({"tool": "kaniko"}, ref="refs/tags/v1.1.0", context="app")
    assert f"--context=git://git.example/shop.git#refs/tags/v1.1.0#{COMMIT}" in own["args"]
    assert {"--destination=registry.example/shop:1.1.0", "--digest-file=/dev/termination-log"} <= set(own["args"])
    assert "--context-sub-path=app" in own["args"]
    assert "--no-push" in container({"tool": "kaniko"}, tag=None)["args"]


def test_logins_come_from_secrets_of_the_cluster() -> None:
    given = Settings(image="builder", registry_secret="login", git_secret="git")
    spec = job(order(), given)["spec"]["template"]["spec"]
    assert [it["secret"]["secretName"] for it in spec["volumes"]] == ["login", "git"]
    assert [it["mountPath"] for it in spec["containers"][0]["volumeMounts"]] == ["/registry", "/git"]
    assert "--secret=id=GIT_AUTH_TOKEN,src=/git/token" in spec["containers"][0]["command"]
    [kaniko] = job(order(), given.model_copy(update={"tool": "kaniko"}))["spec"]["template"]["spec"]["containers"]
    assert kaniko["env"] == [{"name": "GIT_TOKEN", "valueFrom": {"secretKeyRef": {"name": "git", "key": "token"}}}]


def test_another_try_is_another_job_and_kubernetes_tries_once() -> None:
    given = Settings(image="builder")
    first, again, other = job(order(), given), job(order(), given), job(order(key="dag/run/build/2"), given)
    assert first["metadata"]["name"] == again["metadata"]["name"] != other["metadata"]["name"]
    assert (first["spec"]["backoffLimit"], first["spec"]["template"]["spec"]["restartPolicy"]) == (0, "Never")


@pytest.mark.parametrize("code", [0, 3])
def test_the_script_ends_as_the_build_does_and_says_its_digest(code: int, tmp_path: Path) -> None:
    metadata = json.dumps(
        {"containerimage.config.digest": OLD, "containerimage.digest": NEW, "image.name": "x"}, indent=2
    )
    fake = tmp_path / "buildctl-daemonless.sh"
    fake.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$1\" > {tmp_path}/word\ncat > {tmp_path}/metadata.json <<'EOF'\n{metadata}\nEOF\nexit {code}\n"
    )
    fake.chmod(0o755)
    script = SCRIPT.replace("/tmp/", f"{tmp_path}/").replace("/dev/termination-log", f"{tmp_path}/said")
    done = subprocess.run(
        ["sh", "-ec", script, "build", "a; touch /nowhere/x $(false)"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        check=False,
    )
    assert done.returncode == code
    assert (tmp_path / "word").read_text() == "a; touch /nowhere/x $(false)\n"
    assert (tmp_path / "said").exists() == (code == 0)
    if code == 0:
        assert (tmp_path / "said").read_text().strip() == NEW


def found(*conditions: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "release-build-1", "uid": "u1"},
        "status": {
            "startTime": "2026-01-01T10:00:00Z",
            "conditions": [
                {"type": it, "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached its limit"}
                for it in conditions
            ],
        },
    }


def pod(code: int, message: str, *, uid: str = "u1", finished: str = "2026-01-01T10:05:00Z") -> dict[str, Any]:
    ended = {"exitCode": code, "message": message, "finishedAt": finished}
    return {
        "metadata": {"name": "p", "ownerReferences": [{"uid": uid}]},
        "status": {
            "phase": "Failed" if code else "Succeeded",
            "containerStatuses": [{"name": "proxy", "state": {}}, {"name": "build", "state": {"terminated": ended}}],
        },
    }


def refused(job_now: dict[str, Any], *pods: dict[str, Any]) -> str:
    with pytest.raises(PlatformError) as caught:
        standing(job_now, pods, True)
    return str(caught.value)


def test_of_a_job_that_was_tried_again_only_the_pod_that_succeeded_speaks() -> None:
    now = standing(found("Complete"), [pod(1, OLD), pod(0, NEW)], True)
    assert (now.ended, now.digest) == (True, NEW)


def test_a_pod_that_pushed_and_failed_gives_no_digest() -> None:
    sentence = refused(found("Failed"), pod(1, OLD))
    assert sentence.startswith("The Job release-build-1 failed: BackoffLimitExceeded: Job has reached its limit.")
    assert "Its last pod ended with exit code 1" in sentence


@pytest.mark.parametrize(
    ("pods", "why"),
    [
        ([pod(0, NEW, uid="of the Job before")], "none of its pods that are there succeeded"),
        ([pod(0, NEW, finished="2025-12-31T10:05:00Z")], "none of its pods that are there succeeded"),
        ([pod(1, NEW)], "none of its pods that are there succeeded"),
        ([], "none of its pods that are there succeeded"),
        ([pod(0, "")], "its pod says no digest"),
        ([pod(0, "pushed 1.1.0")], "its pod says no digest"),
        ([pod(0, OLD), pod(0, NEW)], f"its pods say {OLD} and {NEW}"),
        ([pod(0, ""), pod(0, NEW)], f"its pods say {NEW}"),
    ],
)
def test_a_complete_job_of_which_nobody_knows_what_it_pushed_is_refused(pods: list[dict[str, Any]], why: str) -> None:
    assert f"is complete, but {why}: what it pushed is not known" in refused(found("Complete"), *pods)


def test_a_job_that_runs_is_waited_for() -> None:
    waiting = pod(0, "")
    waiting["status"] = {
        "phase": "Pending",
        "containerStatuses": [{"name": "build", "state": {"waiting": {"reason": "ImagePullBackOff"}}}],
    }
    now = standing(found(), [waiting], True)
    assert (now.ended, now.sentence) == (False, "The Job release-build-1: ImagePullBackOff")
    assert standing(found(), [pod(0, NEW)], True).ended is False  # not before Kubernetes says that it is complete


def test_a_job_of_tests_pushes_nothing() -> None:
    now = standing(found("Complete"), [pod(0, "")], False)
    assert (now.ended, now.digest) == (True, None)


def test_what_a_job_cannot_do_is_said() -> None:
    given = {"image": "builder", "tool": "kaniko"}
    assert "an address is expected, found the folder sources" in str(
        REMOTE_BUILDER.cannot(order(repository="sources"), given)
    )
    several = order(publication=Publication("shop", ("linux/arm64",)))
    assert "cannot be asked of kaniko" in str(REMOTE_BUILDER.cannot(several, given))
    assert REMOTE_BUILDER.cannot(several, {"image": "builder"}) is None
    sentence = str(REMOTE_BUILDER.cannot(order(repository="ssh://ann:pw@git.example/shop"), given))
    assert "kaniko fetches by https" in sentence
    assert "pw" not in sentence
    assert "`image`" in str(REMOTE_BUILDER.misfit({}))
    assert REMOTE_BUILDER.misfit({"image": "builder", "namespace": "builds"}) is None
