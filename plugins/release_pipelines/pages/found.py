"""What a viewer may see of apps and releases, where an address names no DAG, or one of several apps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from starlette.responses import Response

from release_pipelines.adapters.history import History, Release, ReleaseDetail, UnknownRelease
from release_pipelines.core.model.release_id import dag_of
from release_pipelines.core.overview import gates
from release_pipelines.pages.access import NOT_YOURS, Method, Refused, Viewer

TRAIN = "train_"
"""What the names of trains begin with, which are the ids of their DAGs."""


def dags_of(app: str, known: Mapping[str, set[str]]) -> set[str]:
    """The ids of the DAGs that somebody has to be allowed to read who may see what is kept of an app.

    :param known: apps that have releases, and the DAGs that release them.
    """
    return known.get(app) or {app if app.startswith(TRAIN) else dag_of(app)}


def readable_apps(viewer: Viewer, apps: Iterable[str], known: Mapping[str, set[str]]) -> frozenset[str]:
    """Those of these apps of which the viewer may see what is kept."""
    wanted = {app: dags_of(app, known) for app in apps}
    mine = viewer.readable({dag for dags in wanted.values() for dag in dags})
    return frozenset(app for app, dags in wanted.items() if dags <= mine)


def may(viewer: Viewer, method: Method, release: Release) -> bool:
    """Whether the viewer may do this with a release. All apps have one DAG for rollbacks by hand: there the app's own is asked, too."""
    return all(viewer.may(method, it) for it in gates(release.app, release.dag_id))


def seen(history: History, viewer: Viewer, release_id: str) -> ReleaseDetail:
    """A release by its id.

    :raises Refused: when the viewer may not see it, or nobody knows it: that looks the same.
    """
    try:
        found = history.release(release_id)
    except UnknownRelease:
        raise Refused(403, NOT_YOURS) from None
    if not may(viewer, "GET", found):
        raise Refused(403, NOT_YOURS)
    return found


def of_run(history: History, viewer: Viewer, dag_id: str, run_id: str) -> ReleaseDetail:
    """The newest release of a run whose DAG the viewer may read.

    :raises Refused: when there is none, or it is one of an app that they may not see.
    """
    newest = history.newest_life(dag_id, run_id)
    try:
        if newest is None:
            raise UnknownRelease
        found = history.release(newest)
    except UnknownRelease:  # or it was pruned this moment
        raise Refused(404, "The history knows no release of this run.") from None
    if not may(viewer, "GET", found):
        raise Refused(403, NOT_YOURS)
    return found


def download(content: bytes | str, media_type: str, name: str) -> Response:
    """A file to keep."""
    return Response(content, media_type=media_type, headers=as_file(name))


def as_file(name: str) -> dict[str, str]:
    """Headers of what is kept as a file of this name."""
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}", "Cache-Control": "no-store"}
