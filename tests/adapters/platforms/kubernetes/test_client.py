"""What the API server, or what stands before it, may answer: refusals, rubbish, and logs of any bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from release_pipelines.adapters.kubernetes import client as module
from release_pipelines.adapters.kubernetes.client import DEPLOYMENTS, Client
from release_pipelines.adapters.platforms.kubernetes.cluster import Cluster
from release_pipelines.core.errors import CredentialsRefused, PlatformError, PlatformUnavailable

UNAUTHORIZED = {"kind": "Status", "status": "Failure", "message": "Unauthorized", "code": 401}


class Server:
    """An API server that accepts one token, and answers as it is told."""

    def __init__(self) -> None:
        self.token = "first"
        self.connections = 0
        self.answer: Callable[[], web.Response] = lambda: web.json_response({"metadata": {"name": "shop"}})

    async def _handle(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response(UNAUTHORIZED, status=401)
        return self.answer()

    def asks(self, work: Callable[[Client], Awaitable[Any]], given: Callable[[], str] | None = None) -> Any:
        """Let a client do something.

        :param given: what the credentials' plugin gives; by default the token that is accepted.
        """

        async def run() -> Any:
            from kubernetes_asyncio.client import ApiClient, Configuration

            app = web.Application()
            app.router.add_route("*", "/{path:.*}", self._handle)

            @asynccontextmanager
            async def connection() -> AsyncIterator[ApiClient]:
                self.connections += 1
                configuration = Configuration(host=str(server.make_url("")).rstrip("/"))
                configuration.api_key = {"BearerToken": f"Bearer {(given or (lambda: self.token))()}"}
                async with ApiClient(configuration) as api:
                    yield api

            async with TestServer(app) as server, Cluster(connection) as cluster:
                return await work(cluster.client)

        return asyncio.run(run())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(module, "RENEWAL_PAUSES", (0.0, 0.01, 0.01))
    return Server()


def test_credentials_that_expire_are_read_anew_once_for_all_requests(server: Server) -> None:
    async def work(client: Client) -> Any:
        await client.get(DEPLOYMENTS, "shop", "shop")
        server.token = "second"
        return await asyncio.gather(*(client.get(DEPLOYMENTS, "shop", "shop") for _ in range(5)))

    assert server.asks(work) == [{"metadata": {"name": "shop"}}] * 5
    assert server.connections == 2


def test_a_token_that_is_exchanged_a_moment_later_is_waited_for(server: Server) -> None:
    tokens = iter(["first", "withdrawn", "second"])

    async def work(client: Client) -> Any:
        server.token = "second"
        return await client.get(DEPLOYMENTS, "shop", "shop")

    assert server.asks(work, given=lambda: next(tokens)) == {"metadata": {"name": "shop"}}


def test_a_refusal_that_stays_is_final(server: Server) -> None:
    with pytest.raises(CredentialsRefused, match=r"may not get deployments\.apps .* Its credentials are not accepted"):
        server.asks(lambda client: client.get(DEPLOYMENTS, "shop", "shop"), given=lambda: "never")
    assert server.connections == 4


def test_an_app_that_refuses_a_stranger_is_no_refusal_of_the_cluster(server: Server) -> None:
    server.answer = lambda: web.Response(status=401, text="who are you?", headers={"X-App-Version": "1.0.0"})
    asked = server.asks(lambda client: client.ask("shop", "shop", 80, "/", "X-App-Version"))
    assert asked == (401, "1.0.0")
    assert server.connections == 1


def test_credentials_that_cannot_be_read_are_worth_another_try(server: Server) -> None:
    def fails() -> str:
        raise OSError("the plugin ended with exit code 1")

    with pytest.raises(PlatformUnavailable, match=r"cannot be read: the plugin ended with exit code 1\."):
        server.asks(lambda client: client.get(DEPLOYMENTS, "shop", "shop"), given=fails)


@given(st.binary(max_size=300), st.sampled_from([200, 201, 400, 404, 409, 422, 500, 503]))
@settings(max_examples=15)
def test_whatever_is_answered_is_an_object_or_a_sentence(body: bytes, status: int) -> None:
    server = Server()
    server.answer = lambda: web.Response(body=body, status=status)
    try:
        answer = server.asks(lambda client: client.get(DEPLOYMENTS, "shop", "shop"))
    except module.Conflict as error:
        said = str(error)
    except PlatformError as error:
        said = str(error)
    else:
        assert answer is None or isinstance(answer, dict)
        return
    assert "\0" not in said
    assert said.encode() is not None
    assert len(said) < 1000


@given(st.binary(max_size=300), st.sampled_from([200, 400, 403, 404, 500]))
@settings(max_examples=15)
def test_a_log_of_any_bytes_explains_and_decides_nothing(body: bytes, status: int) -> None:
    server = Server()
    server.answer = lambda: web.Response(body=body, status=status)
    log = server.asks(lambda client: client.log("shop", "shop-1", "app", 5))
    assert "\0" not in log
    assert log.encode() is not None
    assert log == "" or status == 200
