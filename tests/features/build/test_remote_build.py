"""Builds elsewhere, from the operator to the digest: a server speaks as much of CodeBuild's API as that needs. Its answers are stubs."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from release_pipelines.features.build import triggers
from release_pipelines.features.build.operators import ImagePushOperator, RemoteImageBuildOperator
from release_pipelines.features.build.triggers import RemoteBuildTrigger
from tests.adapters.remote_builders.test_codebuild import build, phases
from tests.core.test_built import ASKED, OTHER, Whole
from tests.features.helpers import Ti


class Service(BaseHTTPRequestHandler):
    """The server's ``answers`` are what BatchGetBuilds says, one after the other, the last one for ever; ``asked`` is kept."""

    def do_POST(self) -> None:
        server: Any = self.server
        question = self.headers["X-Amz-Target"].partition(".")[2]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.asked.append((question, body))
        if question == "StartBuild":
            server.on_start()
            answer: Any = {"build": {"id": "shop:1"}}
        elif question == "BatchGetBuilds":
            found = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
            answer = {"builds": [found]} if isinstance(found, dict) else found
        else:
            answer = {}
        status, data = (answer, b"{}") if isinstance(answer, int) else (200, json.dumps(answer).encode())
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Whole:
    it = Whole()
    monkeypatch.setattr("release_pipelines.airflow.hooks.registry.RegistryHook.get_conn", lambda self: it)
    return it


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pytest.importorskip("airflow.providers.amazon")
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        it: Any = server
        it.asked, it.answers, it.on_start = [], [], lambda: None
        connection = {
            "conn_type": "aws",
            "login": "key",
            "password": "hunter2",
            "extra": {"region_name": "eu-central-1", "endpoint_url": f"http://127.0.0.1:{server.server_port}"},
        }
        monkeypatch.setenv("AIRFLOW_CONN_BUILDS", json.dumps(connection))
        monkeypatch.setattr(triggers, "LOOK_EVERY", 0.01)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield it
        server.shutdown()
        thread.join()


class Task(Ti):
    dag_id, run_id, map_index = "release_shop", "run", -1


def released(service: Any, **more: Any) -> tuple[Any, Task]:
    """Build, through the trigger; gives what the operator returns, or how it fails, and what it pushed."""
    ti = Task()
    context: Any = {"ti": ti}
    given = {
        "kind": "codebuild",
        "builder_conn_id": "builds",
        "settings": {"project": "shop"},
        "repository": "https://git.example/shop.git",
        "commit": ASKED,
        "image": "shop",
        "version": "1.1.0",
        "registry_conn_id": "registry",
    }
    operator = RemoteImageBuildOperator(task_id="build_image", **{**given, **more})
    try:
        try:
            operator.execute(context)
        except TaskDeferred as deferred:
            path, arguments = deferred.trigger.serialize()  # type: ignore[union-attr]
            assert path.endswith("RemoteBuildTrigger")
            event = asyncio.run(first_event(RemoteBuildTrigger(**json.loads(json.dumps(arguments)))))
            return getattr(operator, deferred.method_name)(context, event, **(deferred.kwargs or {})), ti
    except AirflowException as error:
        return error, ti
    raise AssertionError("it does not wait")


async def first_event(trigger: RemoteBuildTrigger) -> dict[str, Any]:
    async for event in trigger.run():
        return dict(event.payload)
    raise AssertionError("no event")


def exported(digest: str, **more: Any) -> dict[str, Any]:
    return build(exportedEnvironmentVariables=[{"name": "RELEASE_DIGEST", "value": digest}], **more)


def test_the_digest_that_the_build_exports_is_released_with_its_tags(service: Any, registry: Whole) -> None:
    pushed: list[str] = []
    service.on_start = lambda: pushed.append(registry.push("1.1.0", amd64=ASKED))
    running = build("IN_PROGRESS", currentPhase="BUILD", phases=[])
    service.answers = [running, 503, exported(Whole().push("1.1.0", amd64=ASKED))]
    built, ti = released(service)
    assert built == {"image": "registry.example/shop", "tag": "1.1.0", "id": "shop:1", "digest": pushed[0]}
    assert ti.pushed["build"] == "shop:1"
    push = ImagePushOperator(
        task_id="push", app="shop", image="shop", version="1.1.0", commit=ASKED, registry_conn_id="registry",
        digest=built["digest"], tagged=True, tags=["commit", "latest"],
    )  # fmt: skip
    assert push.execute({"ti": ti})["digest"] == pushed[0]  # type: ignore[arg-type,typeddict-item]
    assert registry.tags["latest"] == registry.tags[ASKED] == pushed[0]


def test_a_failed_build_hands_no_digest_on_though_the_tag_is_there_from_last_week(
    service: Any, registry: Whole
) -> None:
    last_week = registry.push("1.1.0", amd64=ASKED)
    why = "Error while executing command: make build. Reason: exit status 2"
    service.answers = [exported(last_week, **{"buildStatus": "FAILED", "phases": phases("FAILED", why)})]
    failure, ti = released(service)
    assert isinstance(failure, AirflowFailException)
    assert "failed in phase BUILD (FAILED): COMMAND_EXECUTION_ERROR: Error while executing command" in str(failure)
    assert last_week not in json.dumps(ti.pushed)


def test_a_pipe_that_hid_the_exit_code_does_not_pass_the_image_of_another_commit(service: Any, registry: Whole) -> None:
    there = registry.push("1.1.0", amd64=OTHER)
    service.answers = [exported(there)]
    failure, _ = released(service)
    assert isinstance(failure, AirflowFailException)
    assert f"1.1.0 holds commit {OTHER}, {ASKED} was asked for." in str(failure)


def test_a_digest_that_the_tag_does_not_name_is_refused(service: Any, registry: Whole) -> None:
    registry.push("1.1.0", amd64=ASKED)
    service.answers = [exported(f"sha256:{'f' * 64}")]
    failure, _ = released(service)
    assert "but in the registry registry.example/shop:1.1.0 is " in str(failure)


def test_a_build_that_takes_too_long_is_stopped(service: Any, registry: Whole) -> None:
    service.answers = [build("IN_PROGRESS", currentPhase="BUILD", phases=[])]
    failure, _ = released(service, timeout=-1)
    assert isinstance(failure, AirflowFailException)
    assert "`build.timeout`" in str(failure)
    assert ("StopBuild", {"id": "shop:1"}) in service.asked


def test_what_cannot_be_asked_of_it_is_said_before_anything_starts(service: Any, registry: Whole) -> None:
    failure, _ = released(service, platforms=["linux/amd64"])
    assert "`build.platforms` cannot be asked of CodeBuild" in str(failure)
    failure, _ = released(service, settings={})
    assert "The settings of the builder codebuild do not fit" in str(failure)
    failure, _ = released(service, kind="kubernetes_job", settings={"image": "builder"})
    assert "The connection builds is of type aws: one of type kubernetes is expected" in str(failure)
    assert service.asked == []


def test_no_tag_is_moved_to_an_image_of_another_commit(registry: Whole) -> None:
    digest = registry.push("somewhere", amd64=OTHER)
    push = ImagePushOperator(
        task_id="push",
        app="shop",
        image="shop",
        version="1.1.0",
        commit=ASKED,
        registry_conn_id="registry",
        digest=digest,
    )
    with pytest.raises(AirflowFailException, match=f"holds commit {OTHER}"):
        push.execute({"ti": Task()})  # type: ignore[arg-type,typeddict-item]
    assert "1.1.0" not in registry.tags


def test_what_was_built_and_is_gone_is_built_again(registry: Whole) -> None:
    push = ImagePushOperator(
        task_id="push",
        app="shop",
        image="shop",
        version="1.1.0",
        registry_conn_id="registry",
        digest=f"sha256:{'f' * 64}",
    )
    with pytest.raises(AirflowFailException, match="is not in the registry any more: build it again"):
        push.execute({"ti": Task()})  # type: ignore[arg-type,typeddict-item]
