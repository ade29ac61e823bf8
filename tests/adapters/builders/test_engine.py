"""How the words of a container engine are read."""

from __future__ import annotations

import pytest
from docker import APIClient
from docker.constants import MINIMUM_DOCKER_API_VERSION
from requests import Response

from release_pipelines.adapters.builders.engine import (
    Engine,
    abilities,
    digest_pushed,
    image_built,
    is_podman,
)
from release_pipelines.core.errors import Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.model.connection import Connection
from tests.adapters.history.conftest import digest


def test_a_digest_is_read_from_either_kind_of_line() -> None:
    status = {"status": f"1.0.0: digest: {digest('a')} size: 5"}
    assert digest_pushed([{"status": "Pushing", "id": "x"}, status], "Pushing", print) == digest("a")
    assert digest_pushed([{"aux": {"Tag": "1.0.0", "Digest": digest("b")}}], "Pushing", print) == digest("b")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("unauthorized: authentication required", Forbidden),
        ("denied: requested access to the resource is denied", Forbidden),
        ('Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused', PlatformUnavailable),
        ("manifest invalid", PlatformError),
    ],
)
def test_a_push_that_is_refused_is_no_success(said: str, error: type[PlatformError]) -> None:
    with pytest.raises(error) as caught:
        digest_pushed([{"errorDetail": {"message": said}, "error": said}], "Pushing shop:1.0.0", print)
    assert type(caught.value) is error
    assert said in str(caught.value)


def test_a_log_line_of_any_kind_is_text() -> None:
    logged: list[str] = []
    line = {"stream": "\x1b[31mred\0\x1b[0m\n" + "x" * 1_000_000 + "\n"}
    assert image_built([line, {"aux": {"ID": "1"}}], "Building", logged.append) == "1"
    assert all(len(it) <= 2000 and it.isprintable() for it in logged)


def test_an_error_of_megabytes_is_a_sentence() -> None:
    with pytest.raises(PlatformError) as caught:
        image_built([{"error": "bad\0\n" * 1_000_000}], "Building shop:1.0.0", print)
    assert len(str(caught.value)) < 1100
    assert "\0" not in str(caught.value)


def answering(monkeypatch: pytest.MonkeyPatch, status: int = 200, **headers: str) -> list[str]:
    """Every engine gives this answer; what it is asked, in order."""
    asked: list[str] = []

    def get(client: APIClient, url: str, **_: object) -> Response:
        asked.append(url.rpartition("/")[2])
        answer = Response()
        answer.status_code, answer._content = status, b"OK"
        answer.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
        return answer

    monkeypatch.setattr(APIClient, "get", get)
    return asked


PODMAN = {"Libpod_Api_Version": "4.3.1", "Api_Version": "1.41", "Server": "Libpod/4.3.1 (linux)", "Builder_Version": ""}
DOCKER = {"Api_Version": "1.45", "Server": "Docker/26.1.5+dfsg1 (linux)", "Builder_Version": "2"}


@pytest.mark.parametrize(
    ("headers", "name", "podman", "buildkit"),
    [
        (PODMAN, "Podman 4.3.1", (4, 3), False),
        (DOCKER, "Docker 26.1.5+dfsg1", None, True),
        ({**DOCKER, "Server": "nginx", "Builder_Version": "1"}, "Docker of an unknown version", None, False),
    ],
)
def test_an_engine_says_what_it_is_in_one_quick_answer(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], name: str, podman: tuple[int, int] | None, buildkit: bool
) -> None:
    asked = answering(monkeypatch, **headers)
    client = Engine(Connection(host="tcp://engine.example:2375")).client()
    can = abilities(client)
    assert (can.name, can.podman, can.buildkit) == (name, podman, buildkit)
    assert is_podman(client) == (podman is not None)
    assert client.api_version == headers["Api_Version"] != MINIMUM_DOCKER_API_VERSION
    assert set(asked) == {"_ping"}


def test_an_engine_that_refuses_credentials_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, 403)
    with pytest.raises(Forbidden):
        Engine(Connection(host="tcp://engine.example:2375")).client()
