"""Whatever a container writes, or an engine answers, comes in as text that can be kept."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.adapters import outbound
from release_pipelines.adapters.platforms.container_host import engine as engines
from release_pipelines.adapters.platforms.container_host import host as hosts
from release_pipelines.adapters.platforms.container_host.engine import Engine, NoSuchImage, _progress, _refusal
from release_pipelines.adapters.platforms.container_host.keeper import target_of
from release_pipelines.adapters.platforms.container_host.logs import LogEnd, unframed
from release_pipelines.adapters.platforms.container_host.replicas import Prober
from release_pipelines.adapters.platforms.container_host.rollout import Replica, Want
from release_pipelines.adapters.platforms.container_host.state import KnownApp
from release_pipelines.core.errors import CredentialsRefused, Forbidden, PlatformUnavailable
from release_pipelines.core.model.observation import Answer, TrackStatus


@given(st.binary(max_size=300))
def test_a_log_of_any_bytes_is_text(data: bytes) -> None:
    assert unframed(data).encode() is not None


def test_a_log_of_megabytes_in_frames_is_put_together_at_once() -> None:
    piece = b"x" * 1000
    frame = b"\1\0\0\0" + len(piece).to_bytes(4, "big") + piece
    assert len(unframed(frame * 20_000)) == 20_000_000


@given(st.binary(max_size=300), st.integers(1, 20))
def test_a_log_that_comes_in_pieces_is_the_same(data: bytes, size: int) -> None:
    log = LogEnd()
    for at in range(0, len(data), size):
        log.take(data[at : at + size])
    assert log.text == unframed(data)


@asynccontextmanager
async def answering(
    send: Callable[[web.StreamResponse], Awaitable[None]], password: str = "", **given: Any
) -> AsyncIterator[Engine]:
    """An engine that sends this to every question; to pulls, where there is a password, only with it."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        auth = json.loads(base64.urlsafe_b64decode(request.headers.get("X-Registry-Auth", "e30=")))
        if password and auth.get("password") != password:
            return web.json_response({"message": "unauthorized: authentication required"}, status=500)
        await response.prepare(request)
        with suppress(ConnectionError):
            await send(response)
        return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    server = TestServer(app)
    await server.start_server()
    engine = Engine(str(server.make_url("")).rstrip("/"), **given)
    try:
        yield engine
    finally:
        await engine.close()
        await server.close()


@pytest.mark.parametrize("framed", [True, False])
async def test_a_line_of_any_length_takes_no_memory(framed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    size, piece = 60_000_000, b"x" * 1_000_000
    monkeypatch.setattr(engines, "LOG_LIMIT", 1000)

    async def send(response: web.StreamResponse) -> None:
        end = b"\nthe reason"
        if framed:
            await response.write(b"\1\0\0\0" + (size + len(end)).to_bytes(4, "big"))
        for _ in range(size // len(piece)):
            await response.write(piece)
        await response.write(end)

    async with answering(send) as engine:
        tracemalloc.start()
        lines = await engine.logs("shop", 5)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert lines.endswith("x\nthe reason")
    assert len(lines) <= 1000
    assert peak < size / 4


async def test_an_answer_that_never_ends_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound.whole, "__defaults__", (1_000_000,))

    async def send(response: web.StreamResponse) -> None:
        while True:
            await response.write(b"[" * 1_000_000)

    async with answering(send) as engine:
        with pytest.raises(PlatformUnavailable, match="its answer is longer than 1,000,000 bytes"):
            await engine.containers({})


async def test_the_error_of_a_pull_is_found_behind_a_line_of_any_length() -> None:
    async def send(response: web.StreamResponse) -> None:
        for _ in range(5):
            await response.write(b"x" * 1_000_000)
        await response.write(b'\n{"error": "manifest unknown"}\n')

    async with answering(send) as engine:
        with pytest.raises(NoSuchImage, match="the registry has no image shop:1"):
            await engine.pull("shop:1")


@pytest.mark.parametrize("renewed", [True, False])
async def test_a_pull_outlives_the_password_that_it_began_with(renewed: bool) -> None:
    login = {"username": "ann", "serveraddress": "registry.example"}

    async def auth_now() -> dict[str, str]:
        return {**login, "password": "new" if renewed else "old"}

    async def send(response: web.StreamResponse) -> None:
        await response.write(b'{"status": "done"}\n')

    given: Any = {"registry_auth": {**login, "password": "old"}, "auth_now": auth_now}
    async with answering(send, "new", **given) as engine:
        if renewed:
            await engine.pull("registry.example/shop:1")
        else:
            with pytest.raises(NoSuchImage, match=r"does not give registry\.example/shop:1 to these credentials"):
                await engine.pull("registry.example/shop:1")


@given(st.binary(max_size=300))
def test_the_progress_of_a_pull_of_any_bytes_is_an_object(line: bytes) -> None:
    assert isinstance(_progress(line), dict)


@given(st.text(st.characters(codec=None), max_size=300), st.sampled_from([400, 404, 409, 500]))
def test_a_refusal_is_a_sentence(text: str, status: int) -> None:
    said = str(_refusal(status, text, "GET /info"))
    assert said.encode() is not None
    assert "\0" not in said


@pytest.mark.parametrize(("status", "kind"), [(401, CredentialsRefused), (403, Forbidden)])
def test_who_is_not_known_may_be_known_with_other_credentials(status: int, kind: type[Exception]) -> None:
    assert type(_refusal(status, "no", "GET /info")) is kind


@given(st.text(st.characters(codec=None)))
def test_what_is_observed_is_text_of_bearable_length(text: str) -> None:
    status = TrackStatus(track="canary", failure=text * 100, waiting=text, version=text)
    answer = Answer(status=200, version=text)
    for it in (status.failure, status.waiting, status.version, answer.version):
        assert it is not None
        assert len(it) <= 2000
        assert it.encode() is not None
        assert "\0" not in it


@pytest.mark.parametrize(
    ("listed", "noticed", "found"),
    [
        ("running", None, "lost"),
        ("stopping", None, "lost"),  # somebody has asked for the end of what has none
        ("running", "exited", "running"),  # the next look says how
        ("running", "running", "running"),  # it has not begun to serve again
    ],
)
async def test_a_process_whose_end_the_engine_does_not_notice_is_lost(
    listed: str, noticed: str | None, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "NOTICED_SECONDS", 0.05)
    looks = 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal looks
        if request.path.endswith("/kill"):
            assert request.query["signal"] == "SIGURG"
            alive = noticed == "running"
            return web.Response(status=204) if alive else web.json_response({"message": "stopped"}, status=500)
        looks += 1
        status = noticed if noticed and looks > 1 else listed
        return web.json_response({"State": {"Status": status, "Running": status == "running", "ExitCode": 0}})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with (
        TestServer(app) as server,
        hosts.Host(str(server.make_url("")).rstrip("/"), "redis://127.0.0.1:1") as host,
    ):
        replica = Replica(id="1", name="shop-0", digest="sha256:1", number=0, state=listed, listed=True)
        assert (await host._explained(replica)).state == found


@pytest.mark.parametrize(
    ("begun", "settled", "inside", "outside", "found"),
    [
        (60.0, False, True, False, ("lost", "does not serve port")),  # an old rule of the firewall has its port
        (60.0, False, False, False, ("running", "does not serve port")),
        (60.0, False, True, True, ("running", None)),
        (1.0, False, True, False, ("running", "does not serve port")),  # it has just been started
        (60.0, True, True, False, ("running", "does not serve port")),  # others reach it, perhaps
    ],
)
async def test_a_new_replica_that_is_ready_where_its_port_does_not_lead_is_lost(
    begun: float, settled: bool, inside: bool, outside: bool, found: tuple[str, str | None]
) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path.endswith("/json"):
            return web.json_response(
                {"State": {"Status": "running", "Running": True}, "NetworkSettings": {"IPAddress": "127.0.0.1"}}
            )
        return web.Response(status=204)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        elsewhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
        async with (
            TestServer(app) as server,
            hosts.Host(str(server.make_url("")).rstrip("/"), "redis://127.0.0.1:1") as host,
        ):
            target = target_of(KnownApp("shop", "production", None, "traefik"))
            port = server.port if inside else closed.getsockname()[1]
            workload = target.workload.model_copy(update={"port": port})
            target = target.model_copy(update={"workload": workload})
            want = Want("sha256:1", "1.0.0", "shop", 1, 0.0, settled=settled)
            url = str(server.make_url("")).rstrip("/") if outside else elsewhere
            replica = Replica(id="1", name="shop-0", digest="sha256:1", number=0, state="running", url=url)
            probed = await host._probed(target, want, replica, begun)
    assert probed.state == found[0]
    assert (probed.trouble or "").startswith(found[1] or "")
    assert bool(probed.trouble) == bool(found[1])


async def test_what_podman_notices_only_while_it_removes_it_is_removed_all_the_same() -> None:
    asked = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.method)
        refused = {"message": "it could not be stopped: container state improper: stopped"}
        return web.json_response(refused, status=500) if asked.count("DELETE") < 2 else web.Response(status=204)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(app) as server:
        engine = Engine(str(server.make_url("")).rstrip("/"))
        await engine.remove("shop-0")
        await engine.close()
    assert asked == ["POST", "DELETE", "DELETE"]


async def test_an_address_where_nobody_listens_any_more_is_seen_without_a_request() -> None:
    served = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    assert not await Prober().refuses(url)
    server.close()
    await server.wait_closed()
    assert await Prober().refuses(url)
    assert set(served) <= {b""}
