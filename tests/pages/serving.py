"""An API server of a test's own, on a port of its own, that a browser can open; and a wire that can be cut."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

PATIENCE = 30.0


@contextmanager
def served(app: Any, **settings: Any) -> Iterator[int]:
    """The port of 127.0.0.1 on which an app answers."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off", **settings)
    server = uvicorn.Server(config)
    listening = config.bind_socket()
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        until = time.monotonic() + PATIENCE
        while not server.started:
            assert time.monotonic() < until, "the server does not start"
            time.sleep(0.02)
        yield int(listening.getsockname()[1])
    finally:
        server.should_exit = server.force_exit = True
        thread.join(PATIENCE)
        listening.close()


class Wire:
    """A TCP proxy before a port: it can be cut, so that nothing answers, or fall silent, so that nothing comes."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._cut = self._silent = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._take, daemon=True).start()

    def cut(self) -> None:
        """End all connections and refuse new ones."""
        self._cut = True
        for pair in self._pairs:
            for it in pair:
                with contextlib.suppress(OSError):
                    it.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def silence(self, silent: bool = True) -> None:
        """Keep connections open and let nothing through to the browser."""
        self._silent = silent

    def mend(self) -> None:
        """Go on."""
        self._cut = False

    def close(self) -> None:
        """End."""
        self.cut()
        self._listening.close()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                if self._cut:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._to))
                self._pairs.append((near, far))
                threading.Thread(target=self._carry, args=(near, far, False), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, True), daemon=True).start()

    def _carry(self, of: socket.socket, to: socket.socket, back: bool) -> None:
        with contextlib.suppress(OSError):
            while data := of.recv(65536):
                if not (back and self._silent):
                    to.sendall(data)
        for it in (of, to):
            with contextlib.suppress(OSError):
                it.shutdown(socket.SHUT_RDWR)
