"""Receivers on ports of their own: one that speaks HTTP, one that takes mail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from release_pipelines.core.model.notice import Notice
from tests.adapters.history.conftest import free_port


class Receiver:
    """An HTTP server that keeps what it was sent and answers as it is told, its last answer again and again."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = [(204, {}, b"")]
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sent = {name.lower(): value for name, value in self.headers.items()}
                receiver.requests.append((self.path, sent, json.loads(body)))
                status, headers, content = receiver.answers[0]
                if len(receiver.answers) > 1:
                    receiver.answers.pop(0)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_PATCH = do_POST

            def log_message(self, *_: Any) -> None:
                """Tests are quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Mailbox:
    """An SMTP server that keeps what it was sent."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], Message]] = []
        self.full = False
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.full:
            return "552 the mailbox is full"
        self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content)))
        return "250 taken"

    def close(self) -> None:
        self._controller.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    it = Receiver()
    yield it
    it.close()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    it = Mailbox()
    yield it
    it.close()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make an Airflow connection."""

    def made(name: str, **given: Any) -> str:
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(given))
        return name

    return made


NOTICE = Notice(
    outcome="rolled_back",
    sentence="Rolled back 1.1.0 at 25 %: error rate 4.8 % over 1,204 requests, limit 1 % (stable: 0.1 %).",
    app="shop",
    version="1.1.0",
    environment="production",
    release="release_shop/one#0",
    requester="alice",
    approver="bob",
    url="https://airflow.example/dags/release_shop/runs/one",
    what_to_do=["Nothing is urgent: production is served."],
    report="# shop 1.1.0 in production: rolled back\n",
)
"""A notice with everything in it."""
