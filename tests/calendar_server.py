"""A server of calendars on a port of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Answer = tuple[int, dict[str, str], bytes]


class CalendarServer:
    """Answers as it is told, and keeps with which path and headers it was asked.

    ``answer`` may also be a function that writes what it wants, to a connection that it may leave.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answer: Answer | Callable[[BaseHTTPRequestHandler], None] = (200, {}, b"")
        self.ended = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                if callable(server.answer):
                    server.answer(self)
                    return
                status, headers, body = server.answer
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                """Tests are quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def calendar_server() -> Iterator[CalendarServer]:
    it = CalendarServer()
    yield it
    it.close()


@pytest.fixture
def other_server() -> Iterator[CalendarServer]:
    it = CalendarServer()
    yield it
    it.close()
