"""Which apps are known here: an app without releases is something else than a name that nobody has heard of."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

SHOWN = 10
"""Maximum number of apps that are listed."""


def unknown(name: str, released: Collection[str] = ()) -> str | None:
    """A sentence where neither the history nor the project knows an app; None where one of them does.

    :param released: the apps that have releases in the history.
    """
    from release_pipelines.spec.folders import apps_folder
    from release_pipelines.spec.release import app_files

    folder = apps_folder(Path.cwd()).absolute()
    known = sorted({*released, *(path.stem for path in app_files(folder))})
    if name in known:
        return None
    return f"No app {name} is known: it has no release in the history, and no file in {folder}.{guess(name, known)}"


def guess(name: str, known: Collection[str]) -> str:
    """What may have been meant, as a sentence after another one; nothing where there is nothing to say."""
    from difflib import get_close_matches

    if close := get_close_matches(name, known, n=1):
        return f" Did you mean {close[0]}?"
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return f" Known: {', '.join(sorted(known)[:SHOWN])}{more}." if known else ""
