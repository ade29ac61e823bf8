"""Checks against a running app: what is asked, and what is said when the answer is a wrong one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from release_pipelines.airflow import smoke_test
from release_pipelines.features.checks.operators import MetricGateOperator, SmokeTestOperator
from tests.adapters.history.conftest import free_port
from tests.fakes import target
from tests.features.helpers import Ti


class App(BaseHTTPRequestHandler):
    """Version 1.1.0: ``/`` works, ``/moved`` sends elsewhere, ``/broken`` fails, ``/events`` never ends; at ``/api/v1/query`` it has no number."""

    def do_GET(self) -> None:
        status = {"/moved": 302, "/broken": 500}.get(self.path, 200)
        body = b'{"status": "success", "data": {"resultType": "vector", "result": []}}'
        self.send_response(status)
        self.send_header("X-App-Version", "1.1.0")
        self.send_header("Location", "/")
        if self.path != "/events":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(body)
            while self.path == "/events":
                self.wfile.write(b"x" * 65_536)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(smoke_test, "PATIENCE_SECONDS", 0.0)
    with ThreadingHTTPServer(("127.0.0.1", 0), App) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def smoke(url: str, path: str, version: str = "1.1.0") -> list[str]:
    where = target().model_copy(update={"url": url})
    operator = SmokeTestOperator(task_id="smoke_test", target=where, paths=[path], version=version)
    return operator.execute({"ti": Ti()})  # type: ignore[arg-type,typeddict-item,no-any-return]


def test_an_answer_from_the_right_version_is_enough(url: str) -> None:
    assert smoke(url, "/") == [f"{url}/"]


def test_a_page_that_never_ends_answers_by_its_headers(url: str) -> None:
    assert smoke(url, "/events") == [f"{url}/events"]


@pytest.mark.parametrize(
    ("path", "version", "found"),
    [
        ("/broken", "1.1.0", "500 from version 1.1.0; 2xx from version 1.1.0"),
        ("/moved", "1.1.0", "302 from version 1.1.0; 2xx from version 1.1.0"),
        ("/", "1.2.0", "200 from version 1.1.0; 2xx from version 1.2.0"),
    ],
)
def test_a_wrong_answer_names_address_answer_and_what_was_expected(
    url: str, path: str, version: str, found: str
) -> None:  # R12
    with pytest.raises(AirflowFailException) as caught:
        smoke(url, path, version)
    assert str(caught.value) == f"{url}{path}: {found} was expected."


def test_an_answer_is_asked_for_again_as_long_as_the_environments_data_plane_may_take(url: str) -> None:
    slow = target().model_copy(update={"url": url, "settles_within": 1.0})
    since = time.monotonic()
    with pytest.raises(AirflowException, match=r"200 from version 1\.1\.0"):
        smoke_test.smoke_test(slow, ["/"], "1.2.0")
    assert time.monotonic() - since >= 1


def test_an_app_that_does_not_answer_fails_its_smoke_test(url: str) -> None:
    with pytest.raises(
        AirflowFailException, match=r"no answer \(ConnectionError\); 2xx from version 1.1.0 was expected"
    ):
        smoke(f"http://127.0.0.1:{free_port()}", "/")


def test_a_gate_without_a_number_does_not_open(url: str, monkeypatch: pytest.MonkeyPatch) -> None:  # R3
    monkeypatch.setenv("AIRFLOW_CONN_PROMETHEUS", json.dumps({"conn_type": "prometheus", "host": url}))
    gate = MetricGateOperator(task_id="gate", query="sum(queue)", limit=100, prometheus_conn_id="prometheus")
    with pytest.raises(AirflowFailException, match="Could not measure: `sum\\(queue\\)` gives no number"):
        gate.execute({"ti": Ti()})  # type: ignore[arg-type,typeddict-item]
