"""Releases that a CI job and a push start, in real Airflow (R20)."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import sample
from sandbox.airflow import HOOKS, Client
from sandbox.settings import AIRFLOW, ROOT, SandboxError
from tests.end_to_end.conftest import APP, DAG_ID, QUICK, Run, Sandbox

CI = ROOT / "include" / "ci"
STARTS: dict[str, Any] = {**QUICK, "starts": {"tags": True}}


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="curl and jq are not installed here")
def test_the_job_of_a_ci_asks_for_a_release_and_says_what_became_of_it(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.strategy("canary", QUICK)
    version = sandbox.other()
    (tmp_path / ".ci").mkdir()
    shutil.copy(CI / "release.sh", tmp_path / ".ci")
    [command] = [
        step["run"]
        for step in yaml.safe_load((CI / "github.yaml").read_text())["jobs"]["release"]["steps"]
        if "run" in step
    ]
    env = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_URL": AIRFLOW,
        "AIRFLOW_USER": "carol",
        "AIRFLOW_PASSWORD": "carol",
        "APP": APP,
        "GITHUB_REF_NAME": f"v{version}",
        "GITHUB_SHA": f"{time.time_ns():040x}",
        "GITHUB_ACTOR": "alice",
        "LOOK_SECONDS": "1",
    }
    job = subprocess.Popen(["bash", "-ec", command], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True)
    run = begun(f"github-{env['GITHUB_SHA']}")
    run.until(lambda: run.asks)
    for user in ("alice", "carol"):  # for whom it is, and whose account the job has
        with pytest.raises(SandboxError, match="403"):
            run.answer(user, "Approve")
    run.answer("bob", "Approve")
    said, _ = job.communicate(timeout=300)
    assert job.returncode == 0, said
    assert said.splitlines()[-1] == f"Released {version}: it serves all traffic in production and held."
    assert sandbox.serves() == version


def test_a_pushed_tag_is_released_once_and_who_pushed_it_cannot_approve(sandbox: Sandbox) -> None:
    sandbox.strategy("canary", STARTS)
    version = f"1.3.{time.time():.0f}"
    commit = git(
        "-c", "user.name=Shop team", "-c", "user.email=shop@example.com",
        "commit-tree", "v1.1.0^{tree}", "-p", "v1.1.0", "-m", "A new one",
    )  # fmt: skip
    git("tag", f"v{version}", commit)
    push = {
        "ref": f"refs/tags/v{version}",
        "before": "0" * 40,
        "after": commit,
        "deleted": False,
        "head_commit": {"id": commit},
        "repository": {"full_name": f"acme/{APP}"},
        "sender": {"login": "octocat"},
        "commits": [],
    }
    body = json.dumps(push, indent=1).encode()
    assert deliver(body, "sha256=" + "0" * 64)[0] == 401
    assert deliver(json.dumps(push).encode(), signed(body))[0] == 401
    status, answer = deliver(body, signed(body))
    assert (status, answer["pushes"][0]["result"]) == (200, "kept"), answer
    run = begun(f"push-{commit[:16]}")
    status, answer = deliver(body, signed(body))
    assert (status, answer["pushes"][0]["result"]) == (200, "known"), answer
    run.until(lambda: run.asks)
    with pytest.raises(SandboxError, match="403"):
        run.answer("alice", "Approve")
    run.answer("bob", "Reject")
    run.until(lambda: run.ended)
    entry = sandbox.history(run)
    assert (entry["outcome"], entry["requester"]) == ("rejected", "alice")
    assert deliver(body, signed(body))[1]["pushes"][0]["result"] == "known"


def begun(run_id: str, seconds: float = 180) -> Run:
    """The run of this id, when it is there."""
    end = time.monotonic() + seconds
    while True:
        try:
            Client("admin").call("GET", f"/dags/{DAG_ID}/dagRuns/{run_id}")
            return Run.known(DAG_ID, run_id)
        except SandboxError:
            assert time.monotonic() < end, f"no run {run_id} has begun"
            time.sleep(0.5)


def git(*arguments: str) -> str:
    """What Git says in the sample app's repository."""
    return subprocess.run(
        ["git", *arguments], cwd=sample.REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.strip()


def signed(body: bytes) -> str:
    """The signature of a body with the secret."""
    return "sha256=" + hmac.new(HOOKS.encode(), body, hashlib.sha256).hexdigest()


def deliver(body: bytes, signature: str) -> tuple[int, Any]:
    """Send GitHub's event to the webhook; status and answer."""
    headers = {"X-GitHub-Event": "push", "X-GitHub-Delivery": f"{time.time_ns()}", "X-Hub-Signature-256": signature}
    request = urllib.request.Request(f"{AIRFLOW}/releases/hooks/{APP}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, None
