"""Questions over HTTP: what passes, what is said when it does not, and where credentials go."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import web

from release_pipelines.airflow.loop import run
from release_pipelines.features.own_stages import asking, triggers
from release_pipelines.features.own_stages.asking import judged
from release_pipelines.features.own_stages.kinds.http import HttpOptions
from release_pipelines.features.own_stages.triggers import HttpStageTrigger
from tests.adapters.history.conftest import free_port

BODY = json.dumps({"state": "up", "checks": [{"n": 3}], "on": True})


@pytest.mark.parametrize(
    ("options", "status", "text", "problem"),
    [
        ({}, 204, "", ""),
        ({}, 302, "", "302, 2xx was expected"),
        ({"status": [302, 404]}, 404, "", ""),
        ({"status": [302, 404]}, 200, "", "200, 302 or 404 was expected"),
        ({"field": "state", "equals": "up"}, 200, BODY, ""),
        ({"field": "state", "equals": "down"}, 200, BODY, '`state` is "up", "down" was expected'),
        ({"field": "checks.0.n", "equals": 3}, 200, BODY, ""),
        ({"field": "on", "equals": True}, 200, BODY, ""),
        (
            {"field": "checks.0.n", "equals": True},
            200,
            '{"checks": [{"n": 1}]}',
            "`checks.0.n` is 1, true was expected",
        ),
        ({"field": "checks.1.n"}, 200, BODY, "200 without `checks.1.n` in its JSON"),
        ({"field": "state.x"}, 200, BODY, "200 without `state.x` in its JSON"),
        ({"field": "state"}, 200, "<html>", "200 without `state` in its JSON"),
        ({"field": "state", "contains": "u"}, 200, BODY, ""),
        ({"contains": "ready"}, 200, "not yet", '"ready" is not in its answer'),
        ({}, None, "no answer (TimeoutError)", "no answer (TimeoutError)"),
    ],
)
def test_an_answer_is_as_expected_or_it_is_said_what_is_wrong(
    options: dict[str, Any], status: int | None, text: str, problem: str
) -> None:
    passed, said, _ = judged(HttpOptions.model_validate(options), status, text)
    assert (passed, said) == (not problem, problem)


class Server:
    """Answers, and remembers who asked what with which credentials."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.there = ""
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path_qs, request.headers.get("Authorization")))
        if request.path == "/moved":
            return web.Response(status=302, headers={"Location": f"{self.there}/elsewhere"})
        if request.path == "/long":
            return web.Response(text="x" * 200_000 + "end")
        return web.json_response({"state": "up" if len(self.asked) > 2 else "starting"})


async def _serving(server: Server) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield
    await runner.cleanup()


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    one, other = Server(), Server()
    running = [_serving(it) for it in (one, other)]
    for it in running:
        run(anext(it))
    one.there = other.url
    yield one, other
    for it in running:
        run(anext(it, None))


def event(options: dict[str, Any], url: str | None, seconds: float, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    stated = HttpOptions.model_validate(options).model_dump(mode="json")
    trigger = HttpStageTrigger(
        release="release_shop/r#0", until=time.time() + seconds, url=url, headers={}, options=stated
    )
    again = HttpStageTrigger(**trigger.serialize()[1])

    async def first() -> Any:
        return (await anext(aiter(again.run()))).payload

    return dict(asyncio.run(first()))


def test_it_is_asked_until_it_is_as_expected(servers: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = servers
    came_to = event({"field": "state", "equals": "up", "interval": 1}, f"{one.url}/ready?key=geheim", 30, monkeypatch)
    assert [path for path, _ in one.asked] == ["/ready?key=geheim"] * 3
    assert came_to["result"]["values"] == {"status": 200, "value": "up"}
    assert came_to["result"]["sentence"] == f"passed: {one.url}/ready answers 200", "the query stays out of sentences"


def test_a_redirect_is_an_answer_and_credentials_stay_with_the_connections_host(
    servers: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = servers
    connection = {"conn_type": "http", "host": one.url, "login": "shop", "password": "geheim"}
    monkeypatch.setenv("AIRFLOW_CONN_BENCH", json.dumps(connection))
    came_to = event({"connection": "bench", "path": "/moved"}, None, 0, monkeypatch)
    assert came_to["result"]["sentence"] == f"failed: {one.url}/moved: 302, 2xx was expected"
    [(path, credentials)] = one.asked
    assert path == "/moved"
    assert credentials
    assert other.asked == []
    assert "geheim" not in json.dumps(came_to)


def test_a_connection_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    came_to = event({"connection": "nowhere"}, None, 0, monkeypatch)
    assert came_to["error"] == "Airflow has no connection nowhere."


def test_no_answer_is_nothing_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    result = event({}, url, 0, monkeypatch)["result"]
    assert (result["succeeded"], result["ended"]) == (False, False)
    assert result["sentence"] == f"failed: {url}: no answer (ClientConnectorError)"


def test_of_a_long_answer_only_its_beginning_is_read(
    servers: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = servers
    came_to = event({"contains": "end"}, f"{one.url}/long", 0, monkeypatch)
    assert len(came_to["output"]) == asking.ANSWER_BYTES
    assert came_to["result"]["succeeded"] is False


def test_what_never_answers_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any) -> dict[str, Any]:
        await asyncio.sleep(3600)
        return {}

    monkeypatch.setattr(asking, "ask_until", never)
    monkeypatch.setattr(triggers, "GRACE_SECONDS", 0.05)
    result = event({}, "http://127.0.0.1/", 0, monkeypatch)["result"]
    assert (result["succeeded"], result["ended"]) == (False, False)
