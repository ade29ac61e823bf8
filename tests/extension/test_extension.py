"""Another package adds one thing of each kind by entry points alone.

What is installed is known once a process, so these tests run in one of their own, on whose path the package ``acme_release`` is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.mark.begins_first
def test_a_package_of_somebody_else_is_part_of_a_release() -> None:
    path = os.pathsep.join([str(HERE / "site"), str(ROOT / "plugins"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "inside")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, "ACME_RELEASE_INSTALLED": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
