"""Numbers, and what is said when there is none (R3, R12), from a server that answers as Prometheus does."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.metrics import prometheus
from release_pipelines.adapters.metrics.prometheus import PrometheusReader
from release_pipelines.adapters.outbound import CERTIFICATES
from release_pipelines.airflow.hooks.prometheus import PrometheusHook, base_url
from release_pipelines.core.errors import BadQuery, MetricsUnavailable
from tests.adapters.history.conftest import free_port

Ask = Callable[[], float | None]


class Prometheus(BaseHTTPRequestHandler):
    """Answers every query with the server's ``status`` and ``body``."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server: Any = self.server
        server.asked = [*getattr(server, "asked", []), (self.path, dict(self.headers))]
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
        settings = {"conn_type": "prometheus", "host": host, **getattr(server, "settings", {})}
        monkeypatch.setenv("AIRFLOW_CONN_METRICS", json.dumps(settings))
        return PrometheusHook("metrics").query("up") if request.param == "operators" else asyncio.run(by_trigger())

    async def by_trigger() -> float | None:
        reader = await PrometheusHook("metrics").get_async_conn()
        try:
            return await reader.query("up", 1e9)
        finally:
            await reader.close()

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


def test_an_answer_without_end_is_cut_short_and_said(
    server: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:  # R12
    monkeypatch.setattr(prometheus, "ANSWER_BYTES", 1000)
    says(server, "vector", [{"metric": {"pod": str(number)}, "value": [1e9, "1"]} for number in range(100)])
    with pytest.raises(BadQuery) as caught:
        ask()
    assert str(caught.value) == (
        f"Prometheus at http://127.0.0.1:{server.server_port} answers the query with more than 1,000 bytes, and was cut short "
        "there: aggregate it, for example with sum()"
    )


def test_connections_end_with_their_event_loop(server: Any) -> None:
    says(server, "scalar", [1e9, "3"])

    async def asks() -> tuple[Any, Any]:
        reader = PrometheusReader(f"http://127.0.0.1:{server.server_port}", {})
        await asyncio.gather(*(reader.query(f"up{number}", 1e9) for number in range(3)))
        return await reader._session(), asyncio.get_running_loop()

    session, loop = asyncio.run(asks())
    assert session.closed
    assert loop not in PrometheusReader._sessions
    assert loop not in PrometheusReader._kept


def test_a_reader_that_was_closed_opens_again(server: Any) -> None:
    says(server, "scalar", [1e9, "3"])

    async def asks() -> list[Any]:
        reader = PrometheusReader(f"http://127.0.0.1:{server.server_port}", {})
        found = [await reader.query("up", 1e9), await reader._session()]
        await reader.close()
        return [*found, await reader.query("up", 2e9), await reader._session()]

    first, before, second, after = asyncio.run(asks())
    assert (first, second) == (3, 3)
    assert before is not after
    assert (before.closed, after.closed) == (True, True)


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
            await reader.close()

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
            await reader.close()

    with pytest.raises(MetricsUnavailable, match="answers with status 200, where numbers are expected"):
        asyncio.run(asks())


def test_the_headers_of_the_connection_are_sent_beside_its_credentials(server: Any, ask: Ask) -> None:
    says(server, "scalar", [1e9, "3"])
    server.settings = {
        "host": f"http://127.0.0.1:{server.server_port}",
        "password": "s3cret",
        "extra": json.dumps({"headers": {"X-Scope-OrgID": "team-a"}}),
    }
    assert ask() == 3
    ((_, sent),) = server.asked
    assert (sent["X-Scope-OrgID"], sent["Authorization"]) == ("team-a", "Bearer s3cret")


def test_tenants_of_one_service_do_not_share_an_answer(server: Any) -> None:
    says(server, "scalar", [1e9, "3"])
    url = f"http://127.0.0.1:{server.server_port}"
    readers = [PrometheusReader(url, {"X-Scope-OrgID": tenant}) for tenant in ("a", "b")]

    async def both() -> None:
        await asyncio.gather(*(reader.query("up", 1e9) for reader in readers))
        await readers[0].close()

    asyncio.run(both())
    assert {sent["X-Scope-OrgID"] for _, sent in server.asked} == {"a", "b"}


def test_the_proxy_of_the_environment_is_used(server: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    says(server, "scalar", [1e9, "3"])
    server.settings = {"host": "http://prometheus.invalid:9090", "password": "s3cret"}
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert ask() == 3
    assert server.asked[0][0].startswith("http://prometheus.invalid:9090/api/v1/query")


def test_what_the_environment_excepts_is_asked_past_its_proxy(
    server: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(server, "scalar", [1e9, "3"])
    for name, value in (("http_proxy", f"http://127.0.0.1:{free_port()}"), ("no_proxy", "127.0.0.0/8")):
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.upper(), value)
    assert ask() == 3


def test_a_netrc_does_not_take_the_place_of_the_connections_credentials(
    server: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    says(server, "scalar", [1e9, "3"])
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.settings = {"host": f"http://127.0.0.1:{server.server_port}", "password": "s3cret"}
    assert ask() == 3
    assert server.asked[0][1]["Authorization"] == "Bearer s3cret"


@pytest.fixture
def private(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server behind TLS, and the file of the one who signed its certificate."""
    for name in CERTIFICATES:
        monkeypatch.delenv(name, raising=False)
    certificate, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.settings = {"host": f"https://127.0.0.1:{server.server_port}"}
    says(server, "scalar", [1e9, "3"])
    return str(certificate)


@pytest.mark.parametrize("how", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "verify", "off"])
def test_a_private_authority_is_trusted_where_it_is_named(
    server: Any, ask: Ask, private: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how in ("verify", "off"):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", ssl.get_default_verify_paths().openssl_cafile)
        server.settings["extra"] = json.dumps({"verify": private if how == "verify" else False})
    else:
        monkeypatch.setenv(how, private)
    assert ask() == 3


def test_a_certificate_that_nobody_vouches_for_is_said(server: Any, ask: Ask, private: str) -> None:
    with pytest.raises(MetricsUnavailable, match="its certificate is not trusted: `verify` in the connection's extra"):
        ask()


def test_a_file_of_certificates_that_is_not_there_is_said(server: Any, ask: Ask) -> None:
    server.settings = {"extra": json.dumps({"verify": "/no/such.pem"})}
    with pytest.raises(
        MetricsUnavailable, match=r"`verify` of the connection `metrics` names /no/such\.pem, which is not"
    ):
        ask()


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"host": "http://prometheus.monitoring", "port": 9090}, "http://prometheus.monitoring:9090"),
        ({"host": "https://prom.example.org/prometheus"}, "https://prom.example.org/prometheus"),
        ({"host": "https://prom.example.org/a", "port": 8443}, "https://prom.example.org:8443/a"),
        ({"host": "prom.example.org", "schema": "https"}, "https://prom.example.org"),
        ({"host": "prom.example.org", "conn_type": "https"}, "https://prom.example.org"),
        ({"host": "host", "port": 9090, "schema": "prometheus"}, "http://host:9090/prometheus"),
        ({"host": "http://[fd00::1]", "port": 9090}, "http://[fd00::1]:9090"),
        ({"host": "127.0.0.1", "port": 9090}, "http://127.0.0.1:9090"),
    ],
)
def test_an_address_keeps_its_port_its_scheme_and_its_path(settings: dict[str, Any], url: str) -> None:
    from airflow.sdk import Connection

    assert base_url(Connection(conn_id="metrics", **{"conn_type": "prometheus", **settings})) == url
