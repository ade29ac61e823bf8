"""Registries for tests: real servers on ports of their own, and images that are made of a few bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.registries._manifests import CONFIGS, INDEX, MANIFEST, digest_of, written
from release_pipelines.adapters.registries.distribution import Distribution
from release_pipelines.core.model.connection import Connection
from release_pipelines.core.model.image import ATTESTATION
from tests.adapters.history.conftest import free_port
from tests.container_host.stack import listens, wait_until

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
BUILT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "release-pipelines-tests" / "bin"


def at(address: str, **more: Any) -> Distribution:
    """The registry at an address, which does not wait long for other writers."""
    registry = Distribution(Connection("registry", address, extra={"insecure": True}, **more))
    registry.settles = 0.05
    return registry


@contextmanager
def plain(folder: Path, *more: str) -> Iterator[str]:
    """The registry of Debian, which has no referrers API; gives its address.

    :param more: lines of its configuration.
    """
    if not shutil.which("docker-registry"):
        pytest.skip("not run: docker-registry is not on this machine")
    address = f"127.0.0.1:{free_port()}"
    config = folder / "registry.yml"
    lines = (
        "version: 0.1",
        "log: {level: error, accesslog: {disabled: true}}",
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}",
        f"http: {{addr: '{address}'}}",
        *more,
    )
    config.write_text("\n".join(lines))
    with _served(["docker-registry", "serve", str(config)], address):
        yield address


@contextmanager
def with_referrers() -> Iterator[str]:
    """A registry in memory that has the referrers API; gives its address."""
    program = shutil.which("registry", path=os.environ.get("TEST_TOOLS") or str(BUILT))
    if not program:
        pytest.skip("not run: no registry with the referrers API on this machine")
    address = f"127.0.0.1:{free_port()}"
    with _served([program, address], address):
        yield address


@contextmanager
def _served(command: list[str], address: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(int(address.rpartition(":")[2])), command[0])
        yield
    finally:
        process.terminate()
        process.wait(10)


def put(registry: Distribution, name: str, document: dict[str, Any], tag: str | None = None) -> dict[str, Any]:
    """Write a manifest; gives its entry for an index."""
    content = written(document)
    with registry.session() as client:
        registry.put_manifest(client, name, tag or digest_of(content), document["mediaType"], content)
    return {"mediaType": document["mediaType"], "digest": digest_of(content), "size": len(content)}


def blob(registry: Distribution, name: str, content: bytes, kind: str = LAYER) -> dict[str, Any]:
    """Upload a blob; gives its entry for a manifest."""
    with registry.session() as client:
        registry.put_blob(client, name, digest_of(content), len(content), lambda: [content])
    return {"mediaType": kind, "digest": digest_of(content), "size": len(content)}


def single(
    registry: Distribution, name: str, platform: str, content: str = "", tag: str | None = None, **config: Any
) -> dict[str, Any]:
    """The image of one platform, with one layer; gives its entry for an index."""
    os_, architecture, *variant = platform.split("/")
    named = {"os": os_, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
    layer = blob(registry, name, f"layer of {platform} {content}".encode())
    made = json.dumps({**named, "rootfs": {"type": "layers", "diff_ids": []}, **config}).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(registry, name, made, CONFIGS[0]),
        "layers": [layer],
    }
    return {**put(registry, name, document, tag), "platform": named}


def provenance(registry: Distribution, name: str, subject: str, content: str = "") -> dict[str, Any]:
    """What a builder puts into the index beside an image; gives its entry."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(registry, name, f'{{"made": "{content}"}}'.encode(), CONFIGS[0]),
        "layers": [blob(registry, name, f"provenance {content}".encode(), "application/vnd.in-toto+json")],
    }
    return {
        **put(registry, name, document),
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {ATTESTATION: "attestation-manifest", "vnd.docker.reference.digest": subject},
    }


def index(registry: Distribution, name: str, entries: list[dict[str, Any]], tag: str | None = None) -> str:
    """An index of entries; gives its digest."""
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    return str(put(registry, name, document, tag)["digest"])


def delete(address: str, name: str, kind: str, digest: str) -> None:
    """Delete a manifest or blob, as a cleaner would."""
    request = urllib.request.Request(f"http://{address}/v2/{name}/{kind}/{digest}", method="DELETE")
    assert urllib.request.urlopen(request).status == 202


class Answers(BaseHTTPRequestHandler):
    """Forwards everything to :attr:`behind`, but for what :meth:`instead` answers itself."""

    behind = ""
    protocol_version = "HTTP/1.1"

    def instead(self) -> tuple[int, dict[str, str], bytes] | None:
        """Status, headers and body; None: what is behind answers."""

    def serve(self) -> None:
        self.sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, body = self.instead() or self.forwarded()
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve

    def forwarded(self) -> tuple[int, dict[str, str], bytes]:
        headers = {
            it: value
            for it, value in self.headers.items()
            if it.lower() not in ("host", "authorization", "content-length")
        }
        url = f"http://{self.behind}{self.path}"
        request = urllib.request.Request(url, self.sent or None, headers, method=self.command)
        try:
            answer: Any = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, dict(answer.headers.items()), answer.read()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server of our own; gives its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
