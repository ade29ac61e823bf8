"""What a command in a terminal costs, over a Python that does nothing: with a history of a thousand releases in a file."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import table

ROOT = Path(__file__).resolve().parents[1]
RUNS = 15
RELEASES = 1000
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "release history": ["-c", "from release_pipelines.cli import app; app()", "history"],
    "release show": ["-c", "from release_pipelines.cli import app; app()", "show", "shop"],
    "release --help": ["-c", "from release_pipelines.cli import app; app()", "--help"],
}


def took(arguments: list[str], variables: dict[str, str]) -> float:
    """Milliseconds of one run."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=variables, capture_output=True, check=True)
    return 1000 * (time.perf_counter() - begun)


def main() -> None:
    """One after the other in turn, so that a busy machine is busy for all of them."""
    from release_pipelines.adapters.history import open_history

    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/history.db"
        history = open_history(url)
        for number in range(RELEASES):
            history.begin(f"release_shop/{number}#0", "shop", "release_shop", str(number), f"1.{number}.0", "ann")
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        variables = {**kept, "PYTHONPATH": str(ROOT / "plugins"), "AIRFLOW_CONN_RELEASE_HISTORY": url}
        runs: dict[str, list[float]] = {name: [] for name in COMMANDS}
        for arguments in COMMANDS.values():
            took(arguments, variables)  # bytecode is written, files are in memory
        for _ in range(RUNS):
            for name, arguments in COMMANDS.items():
                runs[name].append(took(arguments, variables))
    nothing = statistics.median(runs["python -c pass"])
    rows = [
        [name, f"{min(them):.0f}", f"{statistics.median(them):.0f}", f"{statistics.median(them) / nothing:.1f}"]
        for name, them in runs.items()
    ]
    table(
        f"{RUNS} runs of each, {RELEASES:,} releases",
        ["command", "fastest, ms", "median, ms", "times of nothing"],
        rows,
    )
