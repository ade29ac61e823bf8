"""A small shop front: JSON on ``/``, ``/health`` for probes, its version in a header of every answer."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import behaviour

VERSION = (Path(__file__).parent / "VERSION").read_text().strip()


class Handler(BaseHTTPRequestHandler):
    """Answers one connection; the server counts the visits."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200, {"status": "ok"})
        elif self.path == "/":
            visit = next(self.server.visits)
            time.sleep(behaviour.SECONDS)
            if behaviour.breaks(visit):
                self.answer(500, {"error": "the recommendations have no answer"})
            else:
                self.answer(200, {"greeting": behaviour.GREETING, "version": VERSION})
        else:
            self.answer(404, {"error": "no such page"})

    def answer(self, status: int, body: dict[str, str]) -> None:
        """Send ``body`` as JSON."""
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-App-Version", VERSION)
        if self.server.stopping.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Finishes what has been asked when it is told to stop, and hangs up on connections that ask nothing."""

    daemon_threads = False
    request_queue_size = 256

    def __init__(self, port: int) -> None:
        self.connections: set[socket.socket] = set()
        self.visits = itertools.count(1)
        self.stopping = threading.Event()
        super().__init__(("0.0.0.0", port), Handler)

    def stop(self) -> None:
        """End :meth:`serve_forever`; ``server_close`` then waits for the answers that are under way."""
        self.stopping.set()
        self.shutdown()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)


def main() -> None:
    server = Server(int(os.environ.get("PORT", "8080")))
    # A thread of its own: `shutdown` waits for the loop that this signal handler interrupts.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.stop).start())
    print(f"storefront {VERSION} listens on port {server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()


if __name__ == "__main__":
    main()
