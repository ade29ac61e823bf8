"""k6: requests at a rate, and what became of them. Its summary is one of this run's own, in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from release_pipelines.core.site.load import NotMeasured
from release_pipelines.core.text import last_lines

SCRIPT = Path(__file__).with_name("load.js")
"""The script for those who have none: GET of some paths, in turn."""
LOOK_SECONDS = 1.0
"""Pause between two looks whether somebody ends it, in seconds."""


def k6() -> str | None:
    """Where k6 is: on the PATH, or beside this Python; None: this worker lacks it."""
    return shutil.which("k6") or shutil.which("k6", path=str(Path(sys.executable).parent))


def run(
    script: Path, variables: Mapping[str, str], seconds: float, look: Callable[[], None]
) -> tuple[dict[str, Any], int]:
    """Run a script.

    :param script: its file.
    :param variables: what it finds in ``__ENV``.
    :param seconds: maximum time.
    :param look: called about once a second; what it raises ends the run.
    :return: the summary and the exit code: 0, or 99 where thresholds were crossed.
    :raises NotMeasured: when k6 is missing, ends otherwise, or leaves no summary.
    """
    program = k6()
    if program is None:
        raise NotMeasured("k6 is missing on this worker (install release-pipelines[performance])")
    if not script.is_file():
        raise NotMeasured(f"there is no script {script}")
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        summary, log = Path(folder) / "summary.json", Path(folder) / "log"
        command = [
            program,
            "run",
            "--quiet",
            "--no-color",
            "--no-usage-report",
            "--address",
            "",
            "--summary-export",
            str(summary),
            str(script),
        ]
        with log.open("wb") as written:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
            )
            try:
                code = _ended(process, time.monotonic() + seconds, look)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        said = (last_lines(log.read_bytes()[-10_000:], 1) or ["nothing"])[-1]
        if code is None:
            raise NotMeasured(f"it took longer than {seconds:.0f} s")
        if code not in (0, 99):
            raise NotMeasured(f"k6 ended with exit code {code} and said: {said}")
        try:
            return json.loads(summary.read_text()), code
        except (OSError, ValueError) as error:
            raise NotMeasured(f"k6 left no summary that can be read ({type(error).__name__})") from None


def _ended(process: subprocess.Popen[bytes], until: float, look: Callable[[], None]) -> int | None:
    """Its exit code; None: it was still running at the end of its time."""
    while time.monotonic() < until:
        try:
            return process.wait(timeout=min(LOOK_SECONDS, max(0.01, until - time.monotonic())))
        except subprocess.TimeoutExpired:
            look()
    return None
