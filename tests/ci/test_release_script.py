"""The script that a CI job runs: a shell stands in for the runner, a small server for Airflow's REST API."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "include" / "ci"
pytestmark = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("jq")), reason="curl and jq are not installed here"
)


class Airflow:
    """What the API answers, and what it was asked."""

    def __init__(self) -> None:
        self.states = ["queued", "running", "success"]
        self.sentence: str | None = "Released 1.4.0: it serves all traffic in production and held."
        self.post = (200, {"dag_run_id": "r1"})
        self.tokens = ["t1"]
        self.ends_after: int | None = None
        """The number of looks after which the first token is none any more."""
        self.asked: list[tuple[str, str, Any]] = []
        airflow = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                airflow.asked.append(("POST", self.path, body))
                if self.path == "/auth/token":
                    known = body == {"username": "ci", "password": 'p"w $x'}
                    self.answer(201 if known else 401, {"access_token": airflow.tokens[0]} if known else {})
                    return
                status, answer = airflow.post
                self.answer(status if self.known() else 401, answer)

            def do_GET(self) -> None:
                airflow.asked.append(("GET", self.path, None))
                if airflow.ends_after is not None and sum(it[0] == "GET" for it in airflow.asked) > airflow.ends_after:
                    airflow.ends_after, airflow.tokens = None, ["t2"]
                if not self.known():
                    self.answer(401, {})
                elif "/xcomEntries/" in self.path:
                    self.answer(200 if airflow.sentence else 404, {"value": airflow.sentence})
                else:
                    state = airflow.states.pop(0) if len(airflow.states) > 1 else airflow.states[0]
                    self.answer(200, {"state": state})

            def known(self) -> bool:
                return self.headers.get("Authorization") == f"Bearer {airflow.tokens[0]}"

            def answer(self, status: int, content: Any) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    it = Airflow()
    yield it
    it.server.shutdown()


def job(command: str, airflow: Airflow, **more: str) -> subprocess.CompletedProcess[str]:
    """A job's command as a runner runs it, in a checkout that has the script in `.ci`."""
    env = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_URL": airflow.url,
        "AIRFLOW_USER": "ci",
        "AIRFLOW_PASSWORD": 'p"w $x',
        "APP": "my-shop",
        "LOOK_SECONDS": "0",
        **more,
    }
    return subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, timeout=60, check=False)


def script(airflow: Airflow, **more: str) -> subprocess.CompletedProcess[str]:
    given = {"VERSION": "1.4.0", "REQUESTED_BY": "alice", "RUN_ID": "r1", **more}
    return job(str(FOLDER / "release.sh"), airflow, **given)


def test_a_release_that_held_is_said_and_the_job_is_green(airflow: Airflow) -> None:
    done = script(airflow, RELEASE_NOTES='"quoted"\nnotes')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == airflow.sentence
    asked = next(it for it in airflow.asked if it[1].endswith("/dagRuns"))
    assert asked[1] == "/api/v2/dags/release_my_shop/dagRuns"
    conf = {"version": "1.4.0", "requested_by": "alice", "notes": '"quoted"\nnotes'}
    assert asked[2] == {"dag_run_id": "r1", "logical_date": None, "conf": conf}


def test_a_release_that_went_back_makes_the_job_red_with_its_sentence(airflow: Airflow) -> None:
    airflow.states, airflow.sentence = ["failed"], "Rolled back 1.4.0 at 10 %: error rate 5 %."
    done = script(airflow)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, airflow.sentence)


def test_a_run_that_ended_without_an_outcome_says_where_to_look(airflow: Airflow) -> None:
    airflow.states, airflow.sentence = ["failed"], None
    done = script(airflow)
    assert done.returncode == 1
    assert "its page in Airflow says why" in done.stdout


def test_a_job_that_runs_again_waits_for_the_run_that_is_there(airflow: Airflow) -> None:
    airflow.post = (409, {"detail": "exists"})
    done = script(airflow)
    assert done.returncode == 0
    assert "there already" in done.stdout


def test_a_token_is_taken_as_it_is(airflow: Airflow) -> None:
    done = script(airflow, AIRFLOW_TOKEN="t1", AIRFLOW_USER="")
    assert done.returncode == 0, done.stderr
    assert not any(it[1] == "/auth/token" for it in airflow.asked)


def test_a_token_that_ends_while_the_release_waits_is_asked_for_anew(airflow: Airflow) -> None:
    airflow.ends_after = 1
    done = script(airflow)
    assert done.returncode == 0, done.stderr
    assert sum(it[1] == "/auth/token" for it in airflow.asked) == 2


@pytest.mark.parametrize(
    ("status", "said"), [(403, "does not let"), (404, "no DAG release_my_shop"), (400, "took? no: bad")]
)
def test_what_airflow_does_not_take_is_said(airflow: Airflow, status: int, said: str) -> None:
    airflow.post = (status, {"detail": "took? no: bad"})
    done = script(airflow)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_wait_that_was_too_short_is_said(airflow: Airflow) -> None:
    airflow.states = ["running"]
    done = script(airflow, WAIT_SECONDS="0")
    assert done.returncode == 2
    assert "goes on in Airflow: run r1 of release_my_shop" in done.stderr


@pytest.mark.parametrize("name", ["AIRFLOW_URL", "APP", "VERSION", "REQUESTED_BY", "AIRFLOW_USER"])
def test_what_is_missing_is_named(airflow: Airflow, name: str) -> None:
    done = script(airflow, **{name: ""})
    assert done.returncode == 2
    assert name in done.stderr


def test_no_secret_is_printed(airflow: Airflow) -> None:
    done = script(airflow, AIRFLOW_PASSWORD="wrong-pear")
    assert done.returncode == 2
    assert "wrong-pear" not in done.stdout + done.stderr


def commands() -> dict[str, tuple[str, dict[str, str]]]:
    """What the ready jobs run, and the variables that their forge sets."""
    github = yaml.safe_load((FOLDER / "github.yaml").read_text())["jobs"]["release"]["steps"][-1]["run"]
    gitlab = yaml.safe_load((FOLDER / "gitlab.yaml").read_text())["release"]["script"][-1]
    sha = "c" * 40
    return {
        "github": (github, {"GITHUB_REF_NAME": "v1.4.0", "GITHUB_SHA": sha, "GITHUB_ACTOR": "alice"}),
        "gitlab": (gitlab, {"CI_COMMIT_TAG": "v1.4.0", "CI_COMMIT_SHA": sha, "GITLAB_USER_LOGIN": "alice"}),
    }


@pytest.mark.parametrize("forge", ["github", "gitlab"])
def test_the_ready_job_releases_the_tags_version_for_who_pushed(airflow: Airflow, tmp_path: Path, forge: str) -> None:
    command, variables = commands()[forge]
    (tmp_path / ".ci").mkdir()
    shutil.copy(FOLDER / "release.sh", tmp_path / ".ci")
    done = job(f"cd {tmp_path} && {command}", airflow, **variables)
    assert done.returncode == 0, done.stderr
    asked = next(it[2] for it in airflow.asked if it[1].endswith("/dagRuns"))
    assert asked["dag_run_id"] == f"{forge}-{'c' * 40}"
    assert asked["conf"] == {"version": "1.4.0", "requested_by": "alice"}
