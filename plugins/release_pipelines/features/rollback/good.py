"""The good versions that the rollback's form lists: kept as files, since a form is made without the history, at every parse."""

from __future__ import annotations

import json
import os
from pathlib import Path

from release_pipelines.spec.frozen import state_folder

MOST = 5
"""So many of an app are listed, newest first."""


def keep(app: str, environment: str, versions: list[str]) -> None:
    """Keep the versions that a rollback of the app may go back to in an environment, newest first.

    :raises OSError: where they cannot be written.
    """
    path = _path(app)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}.new")
    new.write_text(json.dumps({**_read(path), environment: versions[:MOST]}))
    new.replace(path)


def listed(apps: list[str]) -> str:
    """What a form says of the versions that are good, in a sentence for each app; empty where none is known."""
    return " ".join(
        f"Good for {app} in {environment}: {', '.join(versions)}."
        for app in apps
        for environment, versions in sorted(_read(_path(app)).items())
        if versions
    )


def _path(app: str) -> Path:
    return state_folder() / "good" / f"{app}.json"


def _read(path: Path) -> dict[str, list[str]]:
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
