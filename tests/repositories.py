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
def served(folder: Path, user: str, password: str, *others: Path, seen: list[str] | None = None) -> Iterator[str]:
    """The repository's address on a server that asks for a password (and cannot do shallow fetches).

    :param others: further repositories, as ``<their folder's name>.git`` beside it.
    :param seen: gets the ``Authorization`` of each request that has one.
    """
    place = folder.parent / f"served-{folder.name}"
    for source, name in ((folder, "shop"), *((it, it.name) for it in others)):
        bare = place / f"{name}.git"
        subprocess.run(["git", "clone", "--quiet", "--bare", str(source), str(bare)], check=True)
        git(bare, "update-server-info")
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers.get("Authorization")
            if given and seen is not None:
                seen.append(given)
            if given == wanted:
                super().do_GET()
                return
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(place))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/shop.git"
        server.shutdown()
        thread.join()


def with_submodule(folder: Path, path: str, url: str, wanted: str, **more: str) -> str:
    """Commit a submodule, as it stands in the repository of somebody who has added it; gives the commit's hash."""
    settings = "".join(f"\t{key} = {value}\n" for key, value in {"path": path, "url": url, **more}.items())
    modules = folder / ".gitmodules"
    before = modules.read_text() if modules.exists() else ""
    modules.write_text(f'{before}[submodule "{path}"]\n{settings}')
    git(folder, "add", ".gitmodules")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{wanted},{path}")
    git(folder, "commit", "--quiet", "-m", "A submodule")
    return git(folder, "rev-parse", "HEAD")
