"""Numbers, and what is said when there is none (R3, R12), from a server that answers as Prometheus does."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from release_pipelines.adapters.metrics.prometheus import PrometheusReader
from release_pipelines.airflow.hooks.prometheus import PrometheusHook
from release_pipelines.core.errors import MetricsUnavailable
from tests.adapters.history.conftest import free_port

Ask = Callable[[], float | None]


class Prometheus(BaseHTTPRequestHandler):
    """Answers every query with the server's ``status`` and ``body``."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server: Any = self.server
        self.send_response(server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        self.wfile.write(server.body)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Prometheus) as it:
        thread = threading.Thread(target=it.serve_forever, daemon=True)
        thread.start()
        yield it
        it.shutdown()
        thread.join()


@pytest.fixture(params=["operators", "triggers"])
def ask(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, server: Any) -> Ask:
    """One question as operators or triggers ask it; to another port where ``server.port`` says so."""

    def asked() -> float | None:
        host = f"http://ann:hunter2@127.0.0.1:{getattr(server, 'port', server.server_port)}"
        monkeypatch.setenv("AIRFLOW_CONN_METRICS", json.dumps({"conn_type": "prometheus", "host": host}))
        return PrometheusHook("metrics").query("up") if request.param == "operators" else asyncio.run(by_trigger())

    async def by_trigger() -> float | None:
        reader = await PrometheusHook("metrics").get_async_conn()
        try:
            return await reader.query("up", 1e9)
        finally:
            await reader._session().close()

    return asked


def says(server: Any, kind: str, result: Any) -> None:
    server.status = 200
    server.body = json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()


@pytest.mark.parametrize(
    ("kind", "result", "number"),
    [
        ("vector", [{"metric": {}, "value": [1e9, "0.5"]}], 0.5),
        ("scalar", [1e9, "3"], 3.0),
        ("vector", [], None),
        ("vector", [{"metric": {}, "value": [1e9, "NaN"]}], None),
        ("scalar", [1e9, "+Inf"], None),
    ],
)
def test_only_a_finite_number_is_one(server: Any, ask: Ask, kind: str, result: Any, number: float | None) -> None:  # R3
    says(server, kind, result)
    assert ask() == number


@pytest.mark.parametrize(
    ("kind", "result", "said"),
    [
        ("vector", [{"value": [1e9, "1"]}, {"value": [1e9, "2"]}], "the query gives 2 series: aggregate it"),
        ("matrix", [{"metric": {}, "values": [[1e9, "1"]]}], "the query gives text or a range"),
        ("string", [1e9, "words"], "the query gives text or a range"),
    ],
)
def test_an_answer_that_is_no_number_says_what_is_expected(
    server: Any, ask: Ask, kind: str, result: Any, said: str
) -> None:  # R12
    says(server, kind, result)
    with pytest.raises(MetricsUnavailable, match=f"^one number is expected, {said}"):
        ask()


def test_a_query_that_cannot_be_read_is_told_in_prometheus_own_words(server: Any, ask: Ask) -> None:  # R12
    server.status = 400
    server.body = json.dumps({"status": "error", "errorType": "bad_data", "error": '1:5: parse error: "a"'}).encode()
    with pytest.raises(MetricsUnavailable) as caught:
        ask()
    where = f"Prometheus at http://127.0.0.1:{server.server_port}"
    assert str(caught.value) == f'{where} cannot answer the query: 1:5: parse error: "a"'


@pytest.mark.parametrize(
    ("status", "body"), [(503, b"upstream connect error"), (401, b""), (200, b"<html>"), (200, b"[]")]
)
def test_something_else_at_its_address_is_an_error(server: Any, ask: Ask, status: int, body: bytes) -> None:  # R3
    server.status, server.body = status, body
    with pytest.raises(MetricsUnavailable, match=rf"answers with status {status}, where numbers are expected$"):
        ask()


def test_a_service_that_is_away_is_named_without_its_password(server: Any, ask: Ask) -> None:  # R11, R12
    server.port = free_port()
    with pytest.raises(MetricsUnavailable) as caught:
        ask()
    assert str(caught.value) == f"Prometheus at http://127.0.0.1:{server.port} does not answer: connection refused"


def test_credentials_that_expire_are_read_anew(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str | None] = []

    def answer(handler: Any) -> None:
        handler.rfile.read(int(handler.headers["Content-Length"]))
        sent.append(handler.headers.get("Authorization"))
        if sent[-1] == "Bearer second":
            says(server, "scalar", [1e9, "1"])
        else:
            server.status, server.body = 401, b""
        handler.headers.replace_header("Content-Length", "0")
        Prometheus.do_GET(handler)

    monkeypatch.setattr(Prometheus, "do_POST", answer)

    def token(value: str) -> None:
        connection = {"conn_type": "prometheus", "host": f"http://127.0.0.1:{server.server_port}", "password": value}
        monkeypatch.setenv("AIRFLOW_CONN_METRICS", json.dumps(connection))

    async def asks() -> float | None:
        token("first")
        reader = await PrometheusHook("metrics").get_async_conn()
        try:
            with pytest.raises(MetricsUnavailable, match="status 401"):
                await reader.query("up", 1e9)
            token("second")
            return await reader.query("up", 1e9)
        finally:
            await reader._session().close()

    assert asyncio.run(asks()) == 1
    assert sent == ["Bearer first", "Bearer first", "Bearer second"]


@pytest.mark.parametrize("body", [b"\xff\0", b'{"status": "success", "data": {}}', b'{"status": "success", "data": 1}'])
def test_whatever_is_answered_to_a_range_is_an_error(server: Any, body: bytes) -> None:
    server.status, server.body = 200, body

    async def asks() -> Any:
        reader = PrometheusReader(f"http://127.0.0.1:{server.server_port}", {})
        try:
            return await reader.series("up", 0, 10, 1)
        finally:
            await reader._session().close()

    with pytest.raises(MetricsUnavailable, match="answers with status 200, where numbers are expected"):
        asyncio.run(asks())
