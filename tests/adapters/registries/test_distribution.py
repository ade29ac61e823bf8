"""The digest behind a tag, from a server that speaks like a registry."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from release_pipelines.adapters.registries.distribution import Distribution
from release_pipelines.core.errors import Forbidden, PlatformUnavailable
from release_pipelines.core.model.connection import Connection
from tests.adapters.history.conftest import digest, free_port

BASIC = "Basic " + base64.b64encode(b"ann:hunter2").decode()


class Registry(BaseHTTPRequestHandler):
    """``open/…`` for everybody, ``private/…`` by token, ``broken/…`` never."""

    def do_HEAD(self) -> None:
        allowed = self.headers.get("Authorization") == "Bearer token-of-ann"
        if self.path.startswith("/v2/broken/"):
            self.answer(503)
        elif self.path.startswith("/v2/endless/"):
            self.answer(200)  # names no digest
        elif self.path.startswith("/v2/private/") and not allowed:
            realm = f'Bearer realm="http://{self.headers["Host"]}/token",service="here",scope="pull"'
            self.answer(401, {"WWW-Authenticate": realm})
        elif self.path.endswith("/manifests/1.0.0") and "oci.image.index" in self.headers["Accept"]:
            self.answer(200, {"Docker-Content-Digest": digest("a")})
        else:
            self.answer(404)

    def do_GET(self) -> None:
        if "/tags/list" in self.path:
            self.tags()
            return
        if self.path.startswith("/v2/endless/"):
            self.send_response(200)
            self.end_headers()
            with suppress(ConnectionError):
                while True:
                    self.wfile.write(b"x" * 65_536)
        if not self.path.startswith("/token?service=here&scope=pull"):
            self.answer(404)
        elif self.headers.get("Authorization") != BASIC:
            self.answer(401)
        else:
            self.answer(200, body=json.dumps({"token": "token-of-ann"}).encode())

    def tags(self) -> None:
        """``open/shop`` has two pages, the second of which says that a third one is elsewhere; ``odd/shop`` answers with a page."""
        name, _, query = self.path.removeprefix("/v2/").partition("/tags/list")
        pages = {"?n=1000": ["1.0.0", "1.1.0"], "?n=1000&last=1.1.0": ["1.2.0"], "?last=1.2.0": None}
        if name == "odd/shop":
            self.answer(200, body=b"<html>")
        elif name != "open/shop" or query not in pages:
            self.answer(404)
        else:
            following = {
                "?n=1000": "/v2/open/shop/tags/list?n=1000&last=1.1.0",
                "?n=1000&last=1.1.0": "http://elsewhere.example/v2/open/shop/tags/list?last=1.2.0",
            }
            link = {"Link": f'<{following[query]}>; rel="next"'} if query in following else {}
            self.answer(200, link, json.dumps({"name": name, "tags": pages[query]}).encode())

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def registry_at(port: int, password: str | None = None) -> Distribution:
    login = "ann" if password else None
    return Distribution(Connection("registry", f"127.0.0.1:{port}", None, login, password, {"insecure": True}))


def test_a_tag_becomes_a_digest(port: int) -> None:  # R1
    registry = registry_at(port)
    assert registry.repository("open/shop") == f"127.0.0.1:{port}/open/shop"
    assert registry.digest_of("open/shop", "1.0.0") == digest("a")
    assert registry.digest_of(f"127.0.0.1:{port}/open/shop", "1.0.0") == digest("a")
    assert registry.digest_of("open/shop", "2.0.0") is None


def test_a_token_is_asked_for_with_the_connections_password(port: int) -> None:
    assert registry_at(port, "hunter2").digest_of("private/shop", "1.0.0") == digest("a")
    with pytest.raises(Forbidden, match=r"does not let this connection read private/shop \(401\)") as caught:
        registry_at(port, "oops").digest_of("private/shop", "1.0.0")
    assert "oops" not in str(caught.value)


def test_a_registry_that_is_away_or_broken_is_worth_another_try(port: int) -> None:
    with pytest.raises(PlatformUnavailable, match="status 503"):
        registry_at(port).digest_of("broken/shop", "1.0.0")
    with pytest.raises(PlatformUnavailable, match="does not answer"):
        registry_at(free_port()).digest_of("open/shop", "1.0.0")


def test_a_manifest_that_never_ends_is_a_sentence(port: int) -> None:
    registry = Distribution(Connection(host="127.0.0.1", port=port, extra={"insecure": True}))
    with pytest.raises(PlatformUnavailable, match="its answer is longer than 10,000,000 bytes"):
        registry.digest_of("endless/shop", "1.0.0")


def test_all_tags_are_listed_page_by_page_and_from_this_registry_alone(port: int) -> None:
    registry = registry_at(port)
    assert registry.tags("open/shop") == ["1.0.0", "1.1.0", "1.2.0"]
    assert registry.tags("open/none") == []
    with pytest.raises(PlatformUnavailable, match="gives no list of tags of odd/shop"):
        registry.tags("odd/shop")
