"""What the id of a release says."""

from __future__ import annotations

ROLLBACK_DAG = "release_rollback"
"""Id of the DAG for manual rollbacks."""
PUSHES_DAG = "release_pushes"
"""Id of the DAG that starts releases of what was pushed."""
OBSERVATIONS_DAG = "release_observations"
"""Id of the DAG that looks what runs now."""
WOKEN = "woken-"
"""What the id of its run begins with where the endpoint started it, right after a delivery."""
APP_DAG = "release_"
"""What the id of an app's own DAG begins with."""


def is_rollback(release: str | None) -> bool:
    """Whether the release id is that of a manual rollback."""
    return bool(release and release.startswith(f"{ROLLBACK_DAG}/"))


def dag_of(app: str) -> str:
    """The id of the DAG that releases an app."""
    return f"{APP_DAG}{app.replace('-', '_')}"


def dag_that_shows(dag_id: str, app: str) -> str:
    """The id of the DAG whose readers may see a release of an app: a person's rollback is the app's, whoever may read the DAG of all rollbacks.

    :param dag_id: of the release's own run.
    """
    return dag_of(app) if dag_id == ROLLBACK_DAG else dag_id


def run_of(release: str) -> tuple[str, str]:
    """DAG id and run id of a release."""
    dag, _, run = release.partition("/")
    name, sign, number = run.rpartition("#")
    return dag, name if sign and number.isdigit() else run


def is_apps_release(release: str) -> bool:
    """Whether the release id says by itself which app is released."""
    return release.startswith(APP_DAG) and "/" in release and not is_rollback(release)


def is_release_of(release: str, app: str) -> bool:
    """Whether the release id is one of the app's own DAG."""
    return release.partition("/")[0] == dag_of(app) and not is_rollback(release)
