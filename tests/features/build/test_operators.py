"""Building without an engine: what is asked of it, how its words are read, and what is said when it is away."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout

from release_pipelines.adapters.builders import engine as builder
from release_pipelines.adapters.history import open_history
from release_pipelines.adapters.registries.distribution import Distribution
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.ports.builder import Secret
from release_pipelines.features.build import FEATURE
from release_pipelines.features.build.operators import (
    ImageBuildOperator,
    ImageTestOperator,
    ResolveCommitOperator,
    ResolveDigestOperator,
)
from release_pipelines.features.build.operators._secrets import read_secrets
from release_pipelines.spec.release import ReleaseSpec
from tests.adapters.history.conftest import digest, free_port
from tests.features.helpers import Ti
from tests.repositories import commit

IMAGE_ID = digest("e")


class Engine(BaseHTTPRequestHandler):
    """Speaks as much of Docker's API as a build needs; the server's ``script`` says how the build goes."""

    def do_GET(self) -> None:
        self._answer(b'{"ApiVersion": "1.41"}')

    def do_POST(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while int(size := self.rfile.readline().strip() or b"0", 16):
                self.rfile.read(int(size, 16) + 2)
        else:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server: Any = self.server
        server.asked.append(self.path)
        lines = b"".join(json.dumps(line).encode() + b"\n" for line in server.script)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        promised = len(lines) + (100 if server.dies else 0)
        self.wfile.write(b"%x\r\n" % promised + lines + (b"" if server.dies else b"\r\n0\r\n\r\n"))
        self.close_connection = True

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Engine) as server:
        it: Any = server
        it.asked, it.script, it.dies = [], [{"aux": {"ID": IMAGE_ID}}], False
        connect(monkeypatch, server.server_port)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield it
        server.shutdown()
        thread.join()


def connect(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    extra = {"build_args": {"BASE_IMAGE": "base", "SHARED": "1"}}
    connection = {"conn_type": "container_host", "host": f"tcp://127.0.0.1:{port}", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ENGINE", json.dumps(connection))
    registry = {"conn_type": "registry", "host": f"127.0.0.1:{free_port()}", "extra": {"insecure": True}}
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps(registry))


def build(tmp_path: Path, kind: type[ImageBuildOperator] = ImageBuildOperator, **kwargs: Any) -> tuple[Any, Ti]:
    """Build a small app; gives what the operator returns, or how it fails, and what it pushed."""
    made = commit(tmp_path / "shop", {"Dockerfile": "FROM scratch\n"})
    ti = Ti()
    operator = kind(
        task_id="build",
        repository=str(tmp_path / "shop"),
        commit=made,
        image="shop",
        version="1.0.0",
        engine_conn_id="engine",
        registry_conn_id="registry",
        **kwargs,
    )
    try:
        return operator.execute({"ti": ti}), ti  # type: ignore[arg-type,typeddict-item]
    except AirflowException as error:
        return error, ti


def test_an_image_is_built_with_labels_and_arguments_of_both_sides(engine: Any, tmp_path: Path) -> None:
    from urllib.parse import parse_qs, urlsplit

    built, _ = build(tmp_path, args={"SHARED": "2", "OWN": "3"}, target="app")
    assert built["id"] == IMAGE_ID
    asked = {key: value[0] for key, value in parse_qs(urlsplit(engine.asked[0]).query).items()}
    assert asked["t"] == f"{built['image']}:1.0.0"
    assert asked["target"] == "app"
    assert json.loads(asked["buildargs"]) == {"BASE_IMAGE": "base", "SHARED": "2", "OWN": "3"}
    labels = json.loads(asked["labels"])
    assert labels["org.opencontainers.image.version"] == "1.0.0"
    assert len(labels["org.opencontainers.image.revision"]) == 40
    assert labels["org.opencontainers.image.created"].startswith("20")


def test_an_image_may_be_tagged_otherwise(engine: Any, tmp_path: Path) -> None:
    built, _ = build(tmp_path, image_tag="{app}-r{version}", app="cart")
    assert built["tag"] == "cart-r1.0.0"
    assert "t=127.0.0.1%3A" in engine.asked[0]
    assert "shop%3Acart-r1.0.0" in engine.asked[0]


@pytest.mark.parametrize("there", ["1.0.0", "v1.0.0", "r-1.0.0"])
def test_an_image_that_was_built_elsewhere_is_found_by_its_tag(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps({"conn_type": "registry", "host": "registry.example"}))
    monkeypatch.setattr(Distribution, "digest_of", lambda self, image, tag: digest("a") if tag == there else None)
    operator = ResolveDigestOperator(
        task_id="resolve",
        app="shop",
        image="shop",
        version="1.0.0",
        registry_conn_id="registry",
        image_tag="r-{version}" if there.startswith("r-") else None,
    )
    ti = Ti()
    found = operator.execute({"ti": ti})  # type: ignore[arg-type,typeddict-item]
    assert (found["version"], found["digest"], ti.pushed["source"]) == ("1.0.0", digest("a"), f"tag {there}")


@pytest.mark.parametrize(
    ("tagged", "there", "source"),
    [
        ("a", "a", "tag 1.0.0"),
        ("b", "a", "the digest that was pushed, which no tag names yet"),
        (None, "a", "the digest that was pushed, which no tag names yet"),
        ("b", None, None),
    ],
)
def test_the_digest_that_a_push_told_is_the_one_that_is_released(
    tagged: str | None, there: str | None, source: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:  # R1
    known = {"1.0.0": tagged and digest(tagged), digest("a"): there and digest(there)}
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps({"conn_type": "registry", "host": "registry.example"}))
    monkeypatch.setattr(Distribution, "digest_of", lambda self, image, tag: known.get(tag))
    operator = ResolveDigestOperator(
        task_id="resolve", app="shop", image="shop", version="1.0.0", registry_conn_id="registry", digest=digest("a")
    )
    ti = Ti()
    if source is None:
        with pytest.raises(AirflowFailException, match="push it again"):
            operator.execute({"ti": ti})  # type: ignore[arg-type,typeddict-item]
        return
    assert operator.execute({"ti": ti})["digest"] == digest("a")  # type: ignore[arg-type,typeddict-item]
    assert ti.pushed["source"] == source


def test_a_build_ends_with_its_task() -> None:
    class Builder:
        stopped = False

        def stop(self) -> None:
            self.stopped = True

    operator = ImageBuildOperator(
        task_id="build", repository="r", commit="c", image="i", version="1.0.0", engine_conn_id="engine"
    )
    operator.on_kill()
    operator._builder = it = Builder()
    operator.on_kill()
    assert it.stopped


def test_secrets_come_from_connections_variables_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_NPM", json.dumps({"conn_type": "generic", "password": "hunter2"}))
    monkeypatch.setenv("AIRFLOW_CONN_EMPTY", json.dumps({"conn_type": "generic"}))
    monkeypatch.setenv("AIRFLOW_VAR_TOKEN", "secret")
    (tmp_path / "key").write_text("x")
    read = read_secrets({"a": {"connection": "npm"}, "b": {"variable": "token"}, "c": {"file": f"{tmp_path}/key"}})
    assert read == {"a": Secret(value="hunter2"), "b": Secret(value="secret"), "c": Secret(path=f"{tmp_path}/key")}
    assert "hunter2" not in repr(read)  # R11
    for source, why in {
        ("connection", "nowhere"): "Airflow has no connection nowhere",
        ("connection", "empty"): "the connection empty has no password",
        ("variable", "nowhere"): "Airflow has no variable nowhere",
        ("file", "/nowhere"): "this worker has no file /nowhere that can be read",
    }.items():
        with pytest.raises(PlatformError, match=f"^Secret a of the build: {why}"):
            read_secrets({"a": dict([source])})


def spec(folder: Path, **build: Any) -> ReleaseSpec:
    where = {
        "name": "production",
        "platform": "container_host",
        "connections": {"platform": "engine", "engine": "engine", "registry": "registry", "prometheus": "engine"},
        "address": {"url": "http://127.0.0.1:1"},
    }
    app = {"name": "shop", "build": {"repository": str(folder), **build}, "environments": ["production"]}
    return ReleaseSpec.model_validate(
        {
            "app": app,
            "environments": [where],
            "analysis": {"metrics": [{"name": "e", "source": "errors", "limit": "1%"}]},
        }
    )


def test_what_stands_in_the_way_of_a_build_is_known_before_it(
    engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # R12
    def said(version: str, **build: Any) -> list[str]:
        return [it.sentence for it in FEATURE.before_build(spec(tmp_path / "shop", **build), version)]

    commit(
        tmp_path / "shop", {"app/Dockerfile": "FROM a\nRUN <<EOF\nls\nEOF\n", "Dockerfile": "FROM a\n"}, "shop-v1.0.0"
    )
    assert said("1.0.0") == []
    assert said("9.9.9", branch="main") == []
    [sentence] = said("9.9.9")
    assert sentence.startswith(f"{tmp_path}/shop has no tag of version 9.9.9: push v9.9.9 or 9.9.9, ")
    [sentence] = said("1.0.0", context="./app/")
    assert "cannot build this Dockerfile, which needs BuildKit for a heredoc (RUN <<EOF) in line 2" in sentence
    [sentence] = said("1.0.0", secrets={"a": {"variable": "nowhere"}})
    assert sentence == "Secret a of the build: Airflow has no variable nowhere."


def test_a_repository_that_does_not_exist_is_said_before_the_build(tmp_path: Path) -> None:  # R12
    [problem] = FEATURE.before_build(spec(tmp_path / "nowhere"), "1.0.0")
    assert problem.sentence.startswith(f"Git could not read {tmp_path}/nowhere: this worker has no such folder")


def test_the_image_of_a_test_gets_no_name(engine: Any, tmp_path: Path) -> None:
    build(tmp_path, ImageTestOperator, target="test")
    assert "&t=" not in engine.asked[0]
    assert "?t=" not in engine.asked[0]


def test_a_build_that_fails_shows_its_last_lines(engine: Any, tmp_path: Path) -> None:  # R12
    engine.script = [{"stream": f"line {number}\n"} for number in range(40)] + [{"error": "exit status 1"}]
    failure, ti = build(tmp_path, ImageTestOperator, target="test")
    assert isinstance(failure, AirflowFailException)
    assert "(stage test) failed: exit status 1. The last lines of the log:\nline 28\n" in ti.pushed["reason"]
    assert ti.pushed["reason"].endswith("line 39")


def test_a_full_disk_is_called_one(engine: Any, tmp_path: Path) -> None:  # R12
    engine.script = [{"error": "write /x: no space left on device"}]
    failure, _ = build(tmp_path)
    assert isinstance(failure, AirflowFailException)
    assert str(failure).startswith("The engine's disk is full (Building 127.0.0.1:")


def test_a_base_image_whose_registry_is_away_is_worth_another_try(engine: Any, tmp_path: Path) -> None:
    engine.script = [{"error": "pinging container registry: dial tcp 127.0.0.1:1: connect: connection refused"}]
    failure, _ = build(tmp_path)
    assert not isinstance(failure, AirflowFailException)
    assert str(failure).startswith("The engine cannot reach what it needs")


def test_an_engine_that_dies_in_mid_build_is_worth_another_try(engine: Any, tmp_path: Path) -> None:  # R6
    engine.script, engine.dies = [{"stream": "STEP 1\n"}], True
    failure, ti = build(tmp_path)
    assert not isinstance(failure, AirflowFailException)
    assert ti.pushed["reason"].startswith("The engine went away (Building 127.0.0.1:")


def test_an_engine_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    port = free_port()
    connect(monkeypatch, port)
    failure, ti = build(tmp_path)
    assert not isinstance(failure, AirflowFailException)
    assert ti.pushed["reason"].startswith(f"The engine does not answer (tcp://127.0.0.1:{port})")


def test_a_build_that_takes_too_long_says_so(
    engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # R12
    def late(*_: Any) -> str:
        raise AirflowTaskTimeout

    monkeypatch.setattr(builder, "image_built", late)
    failure, ti = build(tmp_path, timeout=90)
    assert isinstance(failure, AirflowFailException)
    assert "took longer than 90 s" in ti.pushed["reason"]


@pytest.mark.parametrize(("since", "changes"), [("", ""), ("first", "{short} Add prices"), ("f" * 40, "")])
def test_a_version_is_a_commit_and_what_came_since(since: str, changes: str, tmp_path: Path) -> None:  # R10
    first = commit(tmp_path / "shop", {"a": "1"})
    made = commit(tmp_path / "shop", {"a": "2"}, "v1.0.0", message="Add prices")
    operator = ResolveCommitOperator(
        task_id="resolve",
        repository=str(tmp_path / "shop"),
        version="1.0.0",
        since=first if since == "first" else since,
    )
    found = operator.execute({"ti": Ti()})  # type: ignore[arg-type,typeddict-item]
    told = changes.format(short=made[:7])
    assert found == {"commit": made, "ref": "refs/tags/v1.0.0", "version": "1.0.0", "changes": told}


def test_the_commits_of_a_release_are_kept_with_who_wrote_them_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = commit(tmp_path / "shop", {"web/a": "1"})
    inside = commit(tmp_path / "shop", {"web/a": "2"})
    outside = commit(tmp_path / "shop", {"docs/a": "1"}, "v1.0.0")
    history = open_history(f"sqlite:///{tmp_path}/history.db")
    history.begin("release_shop/r1#0", "shop", "release_shop", "r1", "1.0.0", "alice")
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/history.db")
    more = {"release": "release_shop/r1#0", "context": "web"}
    ResolveCommitOperator(
        task_id="resolve", repository=str(tmp_path / "shop"), version="1.0.0", since=first, **more
    ).execute({"ti": Ti()})  # type: ignore[arg-type,typeddict-item]
    [kept] = history.attachments("release_shop/r1#0")
    assert [(it["sha"], it["counts"]) for it in json.loads(kept.content)] == [(inside, True), (outside, False)]


def test_a_registry_that_is_away_is_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, free_port())
    operator = ResolveDigestOperator(
        task_id="resolve", app="shop", image="shop", version="1.0.0", registry_conn_id="registry"
    )
    with pytest.raises(AirflowException, match="does not answer") as caught:
        operator.execute({"ti": Ti()})  # type: ignore[arg-type,typeddict-item]
    assert not isinstance(caught.value, AirflowFailException)


def test_importing_the_operators_brings_no_client_library() -> None:
    code = (
        "import sys, release_pipelines.features.build.operators, release_pipelines.features.scan.operators;"
        "print([name for name in ('docker', 'requests', 'kubernetes', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
