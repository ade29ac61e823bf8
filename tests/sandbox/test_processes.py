from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import processes
from sandbox.settings import SandboxError
from sandbox.watch import Watch, pause

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


def ended(name: str) -> None:
    process = processes.find(name)
    assert process is not None
    process.kill()
    while processes.find(name):
        time.sleep(0.02)


def test_a_process_that_was_killed_is_started_again_after_longer_and_longer_pauses() -> None:
    processes.start("sleeper", SLEEPER, {"WHO": "sleeper"})
    watch = Watch()
    assert watch.look(0) == []
    ended("sleeper")
    assert watch.look(100) == ["sleeper"]
    process = processes.find("sleeper")
    assert process is not None
    assert process.environ()["WHO"] == "sleeper"
    ended("sleeper")
    assert watch.look(100.5) == []
    assert watch.look(101) == ["sleeper"]
    assert processes.restarts("sleeper") == 2
    assert [pause(tries) for tries in (1, 2, 3, 20)] == [1, 2, 4, 30]


def test_what_was_stopped_is_not_started_again(folders: Path) -> None:
    processes.start("sleeper", SLEEPER)
    known = processes.RUN / "sleeper.json"
    process = processes.find("sleeper")
    known.write_text(json.dumps({**json.loads(known.read_text()), "stopping": True}))
    assert process is not None
    process.kill()
    process.wait()
    assert Watch().look(0) == []
    processes.stop("sleeper")
    assert Watch().look(0) == []


def test_stopping_ends_what_a_killed_process_has_left_behind() -> None:
    child = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); time.sleep(60)"
    processes.start("parent", [sys.executable, "-c", child])
    process = processes.find("parent")
    assert process is not None
    while not process.children():
        time.sleep(0.02)
    (orphan,) = process.children()
    ended("parent")
    Watch().look(0)
    processes.stop("parent")
    assert not orphan.is_running() or orphan.status() == "zombie"


def test_variables_of_a_process_are_for_its_owner_only() -> None:
    processes.start("sleeper", SLEEPER, {"SECRET": "x"})
    assert (processes.RUN / "sleeper.json").stat().st_mode & 0o077 == 0


def test_stopping_who_started_a_process_again_leaves_that_one_alone(folders: Path) -> None:
    script = f"""
import sys, time
sys.path.insert(0, {str(processes.ROOT)!r})
from pathlib import Path
from sandbox import processes
processes.RUN, processes.LOG = Path({str(processes.RUN)!r}), Path({str(processes.LOG)!r})
processes.start("child", [sys.executable, "-c", "import time; time.sleep(60)"])
time.sleep(60)
"""
    processes.start("parent", [sys.executable, "-c", script])
    processes.wait_until(lambda: processes.find("child") is not None, "parent")
    processes.stop("parent")
    assert processes.find("parent") is None
    assert processes.find("child") is not None
