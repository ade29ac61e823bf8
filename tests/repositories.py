"""Real Git repositories for tests, and a server that gives one only to who knows the password."""

from __future__ import annotations

import base64
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

AUTHOR = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]


def git(folder: Path, *arguments: str) -> str:
    """Run Git in a folder; gives what it says."""
    command = ["git", "-C", str(folder), *AUTHOR, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, files: dict[str, str], *tags: str, message: str = "A change") -> str:
    """Write files, commit them, tag the commit (annotated when the tag begins with v), and give its hash."""
    if not (folder / ".git").exists():
        folder.mkdir(parents=True, exist_ok=True)
        git(folder, "init", "--quiet", "--initial-branch=main")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", message)
    for tag in tags:
        git(folder, "tag", *(["-m", tag] if tag.startswith("v") else []), tag)
    return git(folder, "rev-parse", "HEAD")


@contextmanager
def served(folder: Path, user: str, password: str) -> Iterator[str]:
    """The repository's address on a server that asks for a password (and cannot do shallow fetches)."""
    bare = folder.parent / "served" / "shop.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(folder), str(bare)], check=True)
    git(bare, "update-server-info")
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") == wanted:
                super().do_GET()
                return
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(bare.parent))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/shop.git"
        server.shutdown()
        thread.join()
