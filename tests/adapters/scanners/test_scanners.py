"""Scanners that could not look, and how their output is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from release_pipelines.adapters.scanners.bandit import Bandit
from release_pipelines.adapters.scanners.hadolint import Hadolint


@pytest.mark.parametrize("script", [None, "exit 3", "echo no json", "echo '{\"results\": []}'"])
def test_a_scanner_that_could_not_look_is_never_clean(
    script: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stand(Bandit):
        def command(self, dockerfile: str) -> list[str]:
            return ["stand-in"]

    if script:
        (tmp_path / "stand-in").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "stand-in").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    result = Stand().scan(tmp_path, "Dockerfile")
    assert result.status == "unknown"
    assert result.sentence.startswith("unknown: bandit could not look, because ")


def test_hadolints_levels_are_severities() -> None:
    output = json.loads('[{"level": "style", "code": "DL1", "file": "Dockerfile", "line": 1, "message": "m"}]')
    assert Hadolint().read(output)[0].severity == "low"
    with pytest.raises(KeyError):
        Hadolint().read([{**output[0], "level": "new"}])


def test_a_command_that_is_missing_is_known_beforehand() -> None:
    class Absent(Bandit):
        def command(self, dockerfile: str) -> list[str]:
            return ["no-such-command"]

    assert Absent().missing() == (
        "the command no-such-command is missing on this worker (install release-pipelines[scan])"
    )


def test_words_of_a_scanner_are_safe_text() -> None:
    output = [{"level": "error", "code": "DL1", "file": "a\0b", "line": 1, "message": "\x1b[31mbad\n" * 10_000}]
    finding = Hadolint().read(output)[0]
    assert finding.file == "ab"
    assert finding.text.startswith("bad bad")
    assert len(finding.text) <= 500
