"""Processes that outlive the command that starts them: each in a session of its own, known by pid and start time."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

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
    stale: Path | None = None,
) -> bool:
    """Start ``argv`` as ``name`` unless it runs; returns whether it was started. :mod:`sandbox.watch` starts it again when it ends.

    :param address: where it is going to listen, as ``host:port`` or a URL.
    :param stale: a file that is in its way when it was killed.
    :raises SandboxError: when something else listens there.
    """
    with _alone():
        if find(name):
            return False
        if address and _taken(address):
            raise SandboxError(f"{name} needs {address}, and something else listens there: stop that first.")
        command = {"argv": [str(part) for part in argv], "env": env or {}, "cwd": str(cwd), "address": address}
        _spawn(name, {**command, "stale": str(stale or ""), "restarts": 0, "earlier": []})
    return True


def restart(name: str) -> bool:
    """Start a process again that has ended; False when it runs, is being stopped, or its address is still taken."""
    with _alone():
        known = _known(name)
        if "argv" not in known or known.get("stopping") or find(name):
            return False
        if known["address"] and _taken(known["address"]):
            return False
        with suppress(
            ChildProcessError
        ):  # one that was started by this process is there until somebody asks for its end
            os.waitpid(known["pid"], os.WNOHANG)
        earlier = [*known["earlier"], known["pid"]]
        _spawn(name, {**known, "restarts": known["restarts"] + 1, "earlier": earlier})
    return True


def _spawn(name: str, known: dict[str, Any]) -> None:
    LOG.mkdir(parents=True, exist_ok=True)
    if known["stale"]:
        Path(known["stale"]).unlink(missing_ok=True)
    with (LOG / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            known["argv"],
            env={**environment(), **known["env"]},
            cwd=known["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _keep(name, {**known, "pid": process.pid, "created": psutil.Process(process.pid).create_time()})


def _keep(name: str, known: dict[str, Any]) -> None:
    """Write what is known of a process; its variables hold secrets, and readers never see half of it."""
    unfinished = RUN / f"{name}.unfinished"
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(known))
    unfinished.rename(RUN / f"{name}.json")


def _known(name: str) -> dict[str, Any]:
    try:
        return json.loads((RUN / f"{name}.json").read_text())  # type: ignore[no-any-return]
    except FileNotFoundError:
        return {}


@contextmanager
def _alone() -> Iterator[None]:
    """Nobody else starts or stops something meanwhile."""
    RUN.mkdir(parents=True, exist_ok=True)
    with (RUN / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def restarts(name: str) -> int:
    """How often the process was started again since it was asked for."""
    return int(_known(name).get("restarts", 0))


def _taken(address: str) -> bool:
    host, port = address.split("://")[-1].split(":")
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, int(port))) == 0


def find(name: str) -> psutil.Process | None:
    """The running process of that name; a pid that was given to somebody else since is not it."""
    known = _known(name)
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(known["pid"]) if known else None
        if process and abs(process.create_time() - known["created"]) < 1:
            return process if process.status() != psutil.STATUS_ZOMBIE else None
    return None


def names() -> list[str]:
    """All processes that were started and not stopped, oldest first."""
    return [path.stem for path in sorted(RUN.glob("*.json"), key=lambda path: path.stat().st_mtime)]


def stop(*stopped: str, patience: float = 6) -> None:
    """End the processes and their descendants, all at once, and after ``patience`` seconds by force."""
    family: list[psutil.Process] = []
    with _alone():
        for name in stopped:
            if known := _known(name):
                _keep(name, {**known, "stopping": True})
                family += _left_by(known.get("earlier", []))
    spared = _others(stopped)
    for process in filter(None, map(find, stopped)):
        family.append(process)
        with suppress(psutil.NoSuchProcess):
            family += [it for it in process.children(recursive=True) if it not in spared]
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=patience)
    for member in alive:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(alive, timeout=5)
    for name in stopped:
        (RUN / f"{name}.json").unlink(missing_ok=True)


def _others(stopped: tuple[str, ...]) -> set[psutil.Process]:
    """All processes that are not to be stopped, with their descendants: one of those that are may have started them again."""
    spared: set[psutil.Process] = set()
    for process in filter(None, (find(name) for name in names() if name not in stopped)):
        spared.add(process)
        with suppress(psutil.NoSuchProcess):
            spared.update(process.children(recursive=True))
    return spared


def _left_by(leaders: list[int]) -> list[psutil.Process]:
    """What is left of process groups whose leaders have died, told to end: tasks of a scheduler that was killed, for example."""
    gone = {pid for pid in leaders if not psutil.pid_exists(pid)}
    left = []
    for process in psutil.process_iter() if gone else ():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) in gone:
                process.terminate()
                left.append(process)
    return left


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
