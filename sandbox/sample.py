"""The Git repository of the sample app: three versions, the last of them with a fault that no test sees."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from sandbox.settings import APP, ROOT, STATE

SOURCE = ROOT / "sandbox" / "sample_app"
REPOSITORY = STATE / "repositories" / APP

_BEHAVIOUR = '''"""How this version answers."""

GREETING = "{greeting}"
SECONDS = {seconds}
"""Time that an answer takes."""


def breaks(visit: int) -> bool:
    """Whether the answer to the given visit (counted from 1) goes wrong."""
    return {breaks}
'''

VERSIONS = {
    "1.0.0": {"greeting": "Welcome to the storefront", "seconds": 0.002, "breaks": "False"},
    "1.1.0": {"greeting": "Welcome to the new storefront", "seconds": 0.002, "breaks": "False"},
    # One visitor in twenty meets the fault: too few for the tests, enough for a canary.
    "1.2.0": {"greeting": "Welcome, we recommend", "seconds": 0.03, "breaks": "visit % 20 == 0"},
}


def make() -> Path:
    """Make the repository unless it stands; the same content always gives the same commits."""
    if (REPOSITORY / ".git" / "refs" / "tags" / f"v{list(VERSIONS)[-1]}").exists():
        return REPOSITORY
    shutil.rmtree(REPOSITORY, ignore_errors=True)
    shutil.copytree(SOURCE, REPOSITORY, ignore=shutil.ignore_patterns("__pycache__"))
    _git("init", "--quiet", "--initial-branch", "main")
    for number, (version, behaviour) in enumerate(VERSIONS.items()):
        (REPOSITORY / "VERSION").write_text(f"{version}\n")
        (REPOSITORY / "behaviour.py").write_text(_BEHAVIOUR.format(**behaviour))
        _git("add", "--all")
        _git("commit", "--quiet", "--message", f"Storefront {version}", date=f"2026-01-0{number + 1}T12:00:00Z")
        _git("tag", f"v{version}")
    return REPOSITORY


def _git(*arguments: str, date: str = "2026-01-01T12:00:00Z") -> None:
    who = {"NAME": "Shop team", "EMAIL": "shop@example.com", "DATE": date}
    names = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
    env = {**os.environ, **names}
    subprocess.run(["git", "-c", "commit.gpgsign=false", *arguments], cwd=REPOSITORY, env=env, check=True)
