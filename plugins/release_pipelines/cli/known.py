"""Which apps and trains are known here: one without releases is something else than a name that nobody has heard of."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History, ReleaseDetail

SHOWN = 10
"""Maximum number of apps that are listed."""


def unknown(name: str, released: Collection[str] = ()) -> str | None:
    """A sentence where neither the history nor the project knows an app or a train; None where one of them does.

    :param released: the apps and trains that have releases in the history.
    """
    from release_pipelines.spec.folders import apps_folder
    from release_pipelines.spec.release import app_files

    folder = apps_folder(Path.cwd()).absolute()
    known = sorted({*released, *trains_here(), *(path.stem for path in app_files(folder))})
    if name in known:
        return None
    return f"No app {name} is known: it has no release in the history, and no file in {folder}.{guess(name, known)}"


def trains_here() -> list[str]:
    """The trains that have a file here, as the history and Airflow call them, like ``train_weekly``."""
    from release_pipelines.spec.folders import trains_folder
    from release_pipelines.spec.trains import train_dag_id, train_files

    return [train_dag_id(path.stem) for path in train_files(trains_folder(Path.cwd()))]


def found(history: History, text: str, version: str | None) -> ReleaseDetail:
    """The release that is asked for.

    :param text: its id or its beginning, an app, a train or a version.
    :raises ValueError: where the app or the train is known, and has no release yet.
    :raises UnknownRelease: where nobody knows it.
    """
    from release_pipelines.adapters.history import UnknownRelease

    try:
        return history.find(text, version)
    except UnknownRelease:
        if version is None and unknown(text) is None:
            raise ValueError(f"No release of {text} yet.") from None
        raise


def guess(name: str, known: Collection[str]) -> str:
    """What may have been meant, as a sentence after another one; nothing where there is nothing to say."""
    from difflib import get_close_matches

    if close := get_close_matches(name, known, n=1):
        return f" Did you mean {close[0]}?"
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return f" Known: {', '.join(sorted(known)[:SHOWN])}{more}." if known else ""
