"""Rego by regorus, in a process of its own with limits of time and memory."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from release_pipelines.core.policies.asking import EngineFailed
from release_pipelines.core.text import one_line

SECONDS = 30.0
"""Time that one evaluation may take, in seconds."""
PLACE = re.compile(r"--> (?P<file>\S+?):(?P<line>\d+):\d+.*?error: (?P<what>[^\n]+)", re.DOTALL)


class Rego:
    """The engine.

    :param seconds: time that one evaluation may take.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds

    def parse(self, files: Mapping[str, str]) -> list[dict[str, Any]]:
        """Each file with its syntax tree."""
        return self._run({"files": files, "queries": None})  # type: ignore[no-any-return]

    def evaluate(self, files: Mapping[str, str], document: Mapping[str, Any], queries: Sequence[str]) -> list[Any]:
        """The value of each query; None where it is undefined."""
        return self._run({"files": files, "input": document, "queries": queries})  # type: ignore[no-any-return]

    def _run(self, job: dict[str, Any]) -> Any:
        if importlib.util.find_spec("regorus") is None:
            raise EngineFailed(
                "Policies cannot be asked: this worker lacks regorus (extra `policy` of release-pipelines)."
            )
        script = Path(__file__).with_name("_process.py")
        env = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": os.pathsep.join(it for it in sys.path if it)}
        names = ", ".join(job["files"])
        try:
            done = subprocess.run(
                [sys.executable, str(script)],
                input=json.dumps(job),
                capture_output=True,
                text=True,
                env=env,
                timeout=self.seconds,
            )
        except subprocess.TimeoutExpired:
            raise EngineFailed(f"{names} took longer than {self.seconds:g} s, and was ended.") from None
        try:
            told = json.loads(done.stdout)
        except ValueError:
            last = one_line(done.stderr.strip().rpartition("\n")[2], 200)
            raise EngineFailed(
                f"{names}: the evaluation ended without a result (exit code {done.returncode}): {last}."
            ) from None
        if "error" in told:
            raise EngineFailed(_sentence(told["error"], names))
        return told["result"]


def _sentence(error: str, names: str) -> str:
    if found := PLACE.search(error):
        return f"{found['file']}:{found['line']}: {one_line(found['what'], 300).rstrip('.')}."
    return f"{names}: {one_line(error, 300).rstrip('.')}."
