"""A tiny HTTP app as images in a registry, pushed over its HTTP API: no engine is needed for one file on a base."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import urllib.request
from pathlib import Path

from sandbox.engine import base_archive

REGISTRY = "127.0.0.1:5000"
REPOSITORY = "release-test/web"

SERVER = """
import collections, os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION, MODE = os.environ["APP_VERSION"], os.environ["APP_MODE"]
if MODE == "crash":
    print("reading the price list"); print("KeyError: 'price'", flush=True); sys.exit(3)
if MODE == "garbled":
    sys.stdout.buffer.write(b"Kunde M\\xfcller\\0 nicht gefunden\\n"); sys.stdout.flush(); sys.exit(3)
STARTED, LOCK = time.time(), threading.Lock()
COUNTS = collections.Counter({200: 0, 500: 0, 503: 0})

def status(path):
    if path == "/metrics":
        return 200
    if path == "/health":
        return 503 if MODE == "unready" or MODE == "hangs" and time.time() - STARTED > 3 else 200
    with LOCK:
        asked = sum(COUNTS.values())
        code = 503 if MODE == "hangs" and time.time() - STARTED > 3 else 500 if MODE == "errors" and asked % 3 else 200
        COUNTS[code] += 1
    return code

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        end = time.thread_time() + (0.005 if self.path == "/work" else 0)
        while time.thread_time() < end:
            pass
        self.send_response(status(self.path))
        body = VERSION
        if self.path == "/metrics":
            body = "".join(f'app_requests_total{{code="{it}"}} {n}\\n' for it, n in COUNTS.items())
        self.send_header("X-App-Version", VERSION)
        self.send_header("X-App-Greeting", os.environ.get("GREETING", ""))
        self.send_header("X-App-Colour", os.environ.get("COLOUR", ""))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *args):
        pass

server = ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("serving", VERSION, flush=True)
server.serve_forever()
"""
"""Says its version, and two things of its configuration, in headers; counts its requests for Prometheus; ``/work`` costs 5 ms of CPU."""


BUILDER = """
import hashlib, sys, time

given = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
args = dict(word[12:].split("=", 1) for word in sys.argv[1:] if word.startswith("--build-arg="))
tried = "sha256:" + hashlib.sha256(b"of the try that failed").hexdigest()
bad = time.time() < float(args.get("BAD_UNTIL", 0))
open(given["digest-file"], "w").write(tried if bad else args["DIGEST"])
print("building", given["context"], flush=True)
sys.exit(1 if bad else 0)
"""
"""Stands for kaniko's executor: it builds nothing, says the digest that it is given, and fails until a moment, after it has said another one."""


def push(
    version: str,
    cache: Path,
    mode: str = "good",
    repository: str = REPOSITORY,
    tag: str | None = None,
    program: str = SERVER,
) -> str:
    """Push the app as ``version`` and return its digest.

    :param mode: ``crash`` ends at once, ``garbled`` with a last line that is no text, ``hangs`` stops answering after 3 s, ``unready`` never is ready, ``errors`` fails two of
        three requests.
    :param tag: the tag that names it; by default version and mode.
    :param program: what it runs.
    """
    base = _base(cache)
    app = _tar({"server.py": program.encode()})
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Cmd" if program is SERVER else "Entrypoint": ["/usr/bin/python3", "/server.py"],
                "Env": [f"APP_VERSION={version}", f"APP_MODE={mode}", "PATH=/usr/bin:/bin"],
            },
            "rootfs": {"type": "layers", "diff_ids": [_digest(gzip.decompress(layer)) for layer in (base, app)]},
        }
    ).encode()
    kind = "application/vnd.docker."
    manifest = {
        "schemaVersion": 2,
        "mediaType": kind + "distribution.manifest.v2+json",
        "config": _blob(config, kind + "container.image.v1+json", repository),
        "layers": [_blob(layer, kind + "image.rootfs.diff.tar.gzip", repository) for layer in (base, app)],
    }
    body = json.dumps(manifest).encode()
    named = tag or f"{version}-{mode}"
    _send("PUT", f"/v2/{repository}/manifests/{named}", body, str(manifest["mediaType"]))
    return _digest(body)


def _base(cache: Path) -> bytes:
    """A base system with Python, gzipped; made once."""
    tar = base_archive()
    made = cache / f"{tar.stem}.tar.gz"
    if not made.exists():
        cache.mkdir(parents=True, exist_ok=True)
        part = made.with_suffix(".part")
        part.write_bytes(gzip.compress(tar.read_bytes(), 1, mtime=0))
        part.rename(made)
    return made.read_bytes()


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(out.getvalue(), mtime=0)


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _blob(content: bytes, kind: str, repository: str) -> dict[str, object]:
    digest = _digest(content)
    try:
        _send("HEAD", f"/v2/{repository}/blobs/{digest}")
    except urllib.error.HTTPError:
        place = _send("POST", f"/v2/{repository}/blobs/uploads/", b"")
        _send("PUT", place + ("&" if "?" in place else "?") + f"digest={digest}", content, "application/octet-stream")
    return {"mediaType": kind, "size": len(content), "digest": digest}


def _send(method: str, path: str, body: bytes | None = None, kind: str | None = None) -> str:
    url = path if path.startswith("http") else f"http://{REGISTRY}{path}"
    request = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": kind} if kind else {})
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.headers.get("Location", "")
