"""Processes that outlive the command that starts them: each in a session of its own, known by pid and start time."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from sandbox.settings import ROOT, STATE, SandboxError, environment

RUN = STATE / "run"
LOG = STATE / "log"


def start(
    name: str,
    argv: list[str | Path],
    env: dict[str, str] | None = None,
    cwd: Path = ROOT,
    address: str = "",
) -> bool:
    """Start ``argv`` as ``name`` unless it runs; returns whether it was started.

    :param address: where it is going to listen, as ``host:port`` or a URL.
    :raises SandboxError: when something else listens there.
    """
    if find(name):
        return False
    if address and _taken(address):
        raise SandboxError(f"{name} needs {address}, and something else listens there: stop that first.")
    RUN.mkdir(parents=True, exist_ok=True)
    LOG.mkdir(parents=True, exist_ok=True)
    with (LOG / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(part) for part in argv],
            env={**environment(), **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (RUN / f"{name}.json").write_text(
        json.dumps({"pid": process.pid, "created": psutil.Process(process.pid).create_time()})
    )
    return True


def _taken(address: str) -> bool:
    host, port = address.split("://")[-1].split(":")
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, int(port))) == 0


def find(name: str) -> psutil.Process | None:
    """The running process of that name; a pid that was given to somebody else since is not it."""
    try:
        known = json.loads((RUN / f"{name}.json").read_text())
        process = psutil.Process(known["pid"])
        if abs(process.create_time() - known["created"]) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    except (FileNotFoundError, psutil.NoSuchProcess):
        pass
    return None


def names() -> list[str]:
    """All processes that were started and not stopped, oldest first."""
    return [path.stem for path in sorted(RUN.glob("*.json"), key=lambda path: path.stat().st_mtime)]


def stop(*names: str, patience: float = 6) -> None:
    """End the processes and their descendants, all at once, and after ``patience`` seconds by force."""
    family: list[psutil.Process] = []
    for process in filter(None, map(find, names)):
        family.append(process)
        with suppress(psutil.NoSuchProcess):
            family += process.children(recursive=True)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=patience)
    for member in alive:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(alive, timeout=5)
    for name in names:
        (RUN / f"{name}.json").unlink(missing_ok=True)


def log_end(name: str, lines: int = 8) -> str:
    """The last lines of the process' log."""
    path = LOG / f"{name}.log"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""


def wait_until(ready: Callable[[], bool], name: str, timeout: float = 60, pause: float = 0.2) -> None:
    """Wait until ``ready()``; raise with the log's end when ``name`` ends or ``timeout`` seconds pass before."""
    deadline = time.monotonic() + timeout
    while not ready():
        ended = find(name) is None
        if ended or time.monotonic() > deadline:
            why = "ended" if ended else f"is not ready after {timeout:.0f} s"
            raise SandboxError(f"{name} {why}; its log {LOG / name}.log ends with:\n{log_end(name)}")
        time.sleep(pause)


def answers(url: str) -> bool:
    """Whether a GET is answered with 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - loopback addresses of this package
            return bool(200 <= response.status < 300)
    except (urllib.error.URLError, OSError):
        return False
