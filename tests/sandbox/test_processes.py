from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import processes
from sandbox.settings import SandboxError

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(processes, "RUN", tmp_path / "run")
    monkeypatch.setattr(processes, "LOG", tmp_path / "log")
    yield tmp_path
    processes.stop(*processes.names())


def test_a_process_is_started_once_and_ends_when_it_is_stopped() -> None:
    assert processes.start("sleeper", SLEEPER)
    assert not processes.start("sleeper", SLEEPER)
    process = processes.find("sleeper")
    assert process is not None
    processes.stop("sleeper")
    assert not process.is_running() or process.status() == "zombie"
    assert processes.names() == []


def test_a_pid_that_somebody_else_has_now_is_left_alone(folders: Path) -> None:
    processes.start("sleeper", SLEEPER)
    own = processes.RUN / "sleeper.json"
    known = json.loads(own.read_text())
    (processes.RUN / "stranger.json").write_text(json.dumps({**known, "created": known["created"] - 100}))
    assert processes.find("stranger") is None
    processes.stop("stranger")
    assert processes.find("sleeper") is not None


def test_a_process_that_ends_early_is_explained_by_its_log() -> None:
    processes.start("broken", [sys.executable, "-c", "raise SystemExit('no such folder')"])
    with pytest.raises(SandboxError, match="no such folder"):
        processes.wait_until(lambda: False, "broken", timeout=30)


def test_a_port_that_something_else_has_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(SandboxError, match=address):
            processes.start("sleeper", SLEEPER, address=address)
    assert processes.start("sleeper", SLEEPER, address=address)
