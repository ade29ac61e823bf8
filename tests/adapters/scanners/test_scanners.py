"""Scanners that could not look, and how their output is read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from release_pipelines.adapters import tools
from release_pipelines.adapters.scanners import bandit
from release_pipelines.adapters.scanners.bandit import Bandit, NotParsed
from release_pipelines.adapters.scanners.hadolint import Hadolint
from release_pipelines.core.model.finding import ScanResult


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


def test_output_without_end_is_cut_short_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Talkative(Bandit):
        def command(self, dockerfile: str) -> list[str]:
            return [sys.executable, "-c", "print('[' + '1,' * 1000)"]

    monkeypatch.setattr(tools, "OUTPUT_BYTES", 1000)
    result = Talkative().scan(tmp_path, "Dockerfile")
    assert (result.status, result.sentence) == (
        "unknown",
        "unknown: bandit could not look, because it said more than 1,000 bytes, and was cut short there: what is not to be looked "
        "at stands in `scan.exclude`.",
    )


def test_a_sentence_of_a_scanner_has_an_end() -> None:
    assert len(ScanResult(status="unknown", sentence="x" * 1_000_000).sentence) <= 2000


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


OTHERS = {
    "a.py": (
        "def f[T](x: T) -> T:\n    return x\n",
        "a.py:1 needs Python ≥ 3.12 on the worker, and bandit has Python 3.11",
    ),
    "b.py": ("type X = int\n", "b.py:1 needs Python ≥ 3.12 on the worker, and bandit has Python 3.11"),
    "c.py": ("x = 1\n{% for it in all %}\n", "c.py:2 is no Python, but looks like a template"),
    "d.py": ("import os\nprint 'x'\n", "d.py:2 is Python 2, which Python 3.11 on the worker does not parse"),
    "e.py": ("def (:\n", "e.py:1 cannot be parsed by Python 3.11 on the worker (invalid syntax)"),
    "f.py": ("x = 1\n", "f.py needs a newer Python than bandit has on the worker (Python 3.11)"),
    "g.py": (None, "g.py cannot be parsed by Python 3.11 on the worker"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_why_a_file_cannot_be_parsed_is_said(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, why = OTHERS[name]
    monkeypatch.setattr(bandit, "_python_of", lambda _: (3, 11))
    if text is not None:
        (tmp_path / name).write_text(text)
    if sys.version_info >= (3, 12) and "≥ 3.12" in why:
        why = f"{name} needs a newer Python than bandit has on the worker (Python 3.11)"
    error = NotParsed([(f"./{name}", "syntax error while parsing AST from file")])
    assert Bandit().explain(tmp_path, error) == f"{why}; what is not to be looked at stands in `scan.exclude`"


def test_of_many_files_some_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bandit, "_python_of", lambda _: None)
    said = Bandit().explain(tmp_path, NotParsed([(f"./{it}.py", "no such file") for it in "abcde"]))
    assert said.startswith("it could not read a.py (no such file); it could not read b.py")
    assert ", and 2 more; what" in said
