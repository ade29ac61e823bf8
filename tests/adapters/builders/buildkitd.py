"""A BuildKit daemon of the tests' own, and a registry beside it. ``build_buildkit`` builds what is not installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

SECONDS = 30.0


class NotToBeHad(Exception):
    """Why there is no BuildKit here, as a sentence."""


@dataclass(frozen=True)
class Stack:
    """Addresses.

    :param path: a PATH on which buildx is.
    """

    buildkit: str
    registry: str
    path: str


def _needed(folder: Path) -> str:
    """A PATH on which buildx is called as the Docker package calls it: ``go install`` calls it ``buildx``."""
    missing = [name for name in ("buildkitd", "runc", "docker-registry") if not shutil.which(name, path=_path())]
    buildx = shutil.which("docker-buildx", path=_path()) or shutil.which("buildx", path=_path())
    if missing or not buildx or os.geteuid():
        needs = [*missing, *([] if buildx else ["docker-buildx"]), *(["root"] if os.geteuid() else [])]
        raise NotToBeHad(f"BuildKit needs {' and '.join(needs)}; tests/adapters/builders/build_buildkit builds it.")
    (folder / "bin").mkdir()
    (folder / "bin" / "docker-buildx").symlink_to(buildx)
    return f"{folder}/bin{os.pathsep}{_path()}"


def _path() -> str:
    """The PATH, and where ``build_buildkit``, beside this file, puts what it builds."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "release-pipelines-tests" / "bin"
    return os.pathsep.join([os.environ["PATH"], os.environ.get("TEST_TOOLS") or str(cache), "/usr/sbin", "/sbin"])


@contextmanager
def stack(certificates: Mapping[str, Path] | None = None) -> Iterator[Stack]:
    """Both, ended afterwards.

    :param certificates: of a daemon behind TLS: ``ca``, ``cert`` and ``key``; None: it listens on a socket.
    :raises NotToBeHad: where something of it is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="buildkit-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        path, port = _needed(folder), _free_port()
        address = f"tcp://127.0.0.1:{_free_port()}" if certificates else f"unix://{folder}/buildkit.sock"
        (folder / "registry.yml").write_text(
            f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n"
            f"http: {{addr: '127.0.0.1:{port}', headers: {{X-Whose: [{folder.name}]}}}}\n"
        )
        (folder / "buildkitd.toml").write_text("")
        daemon = [
            "buildkitd",
            f"--config={folder}/buildkitd.toml",
            f"--addr={address}",
            f"--root={folder}/root",
        ]
        daemon += ["--oci-worker-snapshotter=native", "--oci-worker-net=host"]
        for option, name in (("tlscacert", "ca"), ("tlscert", "cert"), ("tlskey", "key")):
            daemon += [f"--{option}={certificates[name]}"] if certificates else []
        running: list[subprocess.Popen[bytes]] = []
        env = {**os.environ, "PATH": path}
        try:
            for command in (["docker-registry", "serve", f"{folder}/registry.yml"], daemon):
                with (folder / f"{command[0]}.log").open("wb") as log:
                    running.append(subprocess.Popen(command, env=env, stdout=log, stderr=log))
            _wait(folder, running, port, address)
            yield Stack(address, f"127.0.0.1:{port}", path)
        finally:
            for process in reversed(running):
                process.terminate()
                process.wait(SECONDS)


def _wait(folder: Path, running: list[subprocess.Popen[bytes]], port: int, address: str) -> None:
    """Until both answer. One that ended never will: another process may have its port."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for process in running:
            if process.poll() is not None:
                logs = "\n".join(it.read_text(errors="replace")[-600:] for it in folder.glob("*.log"))
                raise NotToBeHad(f"{process.args} ended: {logs}")
        listens = f"running server on {address.removeprefix('tcp://').removeprefix('unix://')}"
        if listens in (folder / "buildkitd.log").read_text(errors="replace") and _answers(port, folder.name):
            return
        time.sleep(0.05)
    raise NotToBeHad("BuildKit does not answer.")


def _answers(port: int, whose: str) -> bool:
    """Whether the registry answers, and not somebody else's who has the port by now."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v2/", timeout=2).headers.get("X-Whose") == whose
    except httpx.HTTPError:
        return False


def _free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return int(it.getsockname()[1])
