"""The table of lines that each tier runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import coverage

CODE = (
    "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import release_pipelines.core.errors'], check=True)"
)


def test_lines_are_counted_by_tier_also_those_of_processes_that_a_test_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(coverage, "FOLDER", tmp_path)
    program = tmp_path / "program.py"
    program.write_text(CODE)
    options = [it for it in coverage.counting("unit") if it != "-m"]
    subprocess.run([sys.executable, "-m", *options, program], cwd=coverage.ROOT, check=True)
    coverage.counting("airflow")  # of which nothing ran
    run, total = coverage.lines_by_layer([tmp_path / "unit"])
    assert 0 < run["core"] < total["core"]
    heading, *rows = [line.split() for line in coverage.table(["lint", "unit", "airflow"])]
    assert heading[-3:] == ["unit", "airflow", "all"]
    assert {"core", "adapters", "all"} <= {row[0] for row in rows}
