"""Page ``/releases/runs/<DAG id>/<run id>``: one release, now and afterwards."""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.release_id import dag_of, is_rollback
from release_pipelines.core.model.train import IN_WORDS
from release_pipelines.pages.access import NOT_YOURS, Refused, Viewer
from release_pipelines.pages.app import Looking
from release_pipelines.pages.commands import Actions, actions
from release_pipelines.pages.html import page, render
from release_pipelines.spec.status import WANTED, read_status

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.core.model.records import ReleaseDetail
    from release_pipelines.core.model.train import TrainApp
    from release_pipelines.core.status.model import ReleaseStatus

router = APIRouter(prefix="/runs/{dag_id}/{run_id}")

PARTS = ("sentence", "clock", "stages", "tracks", "metrics", "way_back", "deployed", "said")
"""What of the page changes while it is looked at: ids of its elements, and names of their templates."""
Key = tuple[str, str, int | None]
LOCKS = 16
MANY = 50
"""Of so many releases it is kept what was read."""


class Found(NamedTuple):
    """A release, as it was read for everybody."""

    release: ReleaseDetail
    status: ReleaseStatus
    lives: list[str]
    """Ids of all releases of its run, oldest first."""
    apps: list[TrainApp]
    """Of a train."""


class Reading:
    """Reads releases for everybody who looks, once for those who ask in the same moment."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, tuple[float, Found | None]] = OrderedDict()
        self._texts: OrderedDict[str, tuple[dict[str, float], dict[str, str]]] = OrderedDict()
        self._locks = [Lock() for _ in range(LOCKS)]
        self._lock = Lock()

    def of(self, dag_id: str, run_id: str, life: int | None, seconds: float) -> Found | None:
        """The release of a run; None: the history knows none.

        :param life: which of its releases, counted as in its id; None: the newest.
        :param seconds: how old it may be.
        """
        key = (dag_id, run_id, life)
        with self._locks[hash(key) % LOCKS]:
            known = self._known.get(key)
            if known is None or time.monotonic() - known[0] >= seconds:
                read = self.read(HistoryHook().history(), dag_id, run_id, life)
                known = (time.monotonic(), read)
                with self._lock:
                    _keep(self._known, key, known)
        return known[1]

    def read(self, history: History, dag_id: str, run_id: str, life: int | None) -> Found | None:
        """The same, read anew."""
        lives = history.lives(dag_id, run_id)
        wanted = lives[-1:] if life is None else [it for it in lives if life_of(it) == life]
        if not wanted:
            return None
        try:
            release = history.release(wanted[0])
        except UnknownRelease:  # it was pruned this moment
            return None
        times = history.attachment_times(release.id)
        status = read_status(history, release, attached=times, texts=self._contents(history, release.id, times))
        return Found(release, status, lives, history.train_apps(release.id))

    def _contents(self, history: History, release: str, times: dict[str, float]) -> dict[str, str]:
        """Commits, findings and stages of a release: read again where one was written since."""
        wanted = {name: at for name, at in times.items() if name in WANTED}
        if (known := self._texts.get(release)) and known[0] == wanted:
            return known[1]
        texts = history.texts(release, list(wanted)) if wanted else {}
        with self._lock:
            _keep(self._texts, release, (wanted, texts))
        return texts


def _keep(known: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    known[key] = value
    known.move_to_end(key)
    while len(known) > MANY:
        known.popitem(last=False)


def life_of(release: str) -> int:
    """Which life of its run a release is, counted from 0."""
    number = release.rpartition("#")[2]
    return int(number) if "#" in release and number.isdigit() else 0


def found(
    request: Request, viewer: Viewer, dag_id: str, run_id: str, life: int | None = None, *, seconds: float = 0.0
) -> Found | None:
    """The release that an address means; None: the history knows none.

    :param life: which of the run's releases; None: the newest.
    :param seconds: how old what was read may be.
    :raises Refused: when the viewer may not see it. All apps have one DAG for rollbacks by hand: there the app's own is asked.
    """
    reading: Reading = request.app.state.reading
    release = reading.of(dag_id, run_id, life, seconds)
    if release and is_rollback(release.release.id) and not viewer.may("GET", dag_of(release.release.app)):
        raise Refused(403, NOT_YOURS)
    return release


def parts(request: Request, status: ReleaseStatus) -> dict[str, str]:
    """The parts of the page, whole, by the ids of their elements.

    :param status: the release's state.
    """
    return {name: render(request, f"parts/{name}.html", **shown(status)) for name in PARTS}


def shown(status: ReleaseStatus) -> dict[str, Any]:
    """What the templates of the parts use."""
    dag_id, _, rest = status.id.partition("/")
    return {"state": status, "dag_id": dag_id, "run_id": rest.rpartition("#")[0] or rest, "life": life_of(status.id)}


@router.get("")
def release(request: Request, viewer: Looking, dag_id: str, run_id: str, life: int | None = None) -> HTMLResponse:
    """The release of a run."""
    known = found(request, viewer, dag_id, run_id, life)
    if known is None:
        return page(request, "release.html", viewer=viewer, release=None, dag_id=dag_id, run_id=run_id)
    mine = viewer.readable({dag_of(it.app) for it in known.apps})
    apps = [it for it in known.apps if dag_of(it.app) in mine]
    hidden = len(known.apps) - len(apps)
    status = _without_others(known.status) if hidden else known.status
    return page(
        request,
        "release.html",
        viewer=viewer,
        release=known.release,
        lives=[(life_of(it), it) for it in known.lives],
        apps=[(it, dag_of(it.app), IN_WORDS[it.result]) for it in apps],
        hidden=hidden,
        actions=_actions(viewer, known),
        **shown(status),
    )


def _actions(viewer: Viewer, known: Found) -> Actions | None:
    """What the viewer may tell the release; an earlier life of a run hears nothing any more."""
    return actions(viewer, HistoryHook().history(), known.release) if known.release.id == known.lives[-1] else None


def _without_others(status: ReleaseStatus) -> ReleaseStatus:
    """A train as somebody may see it who may not see all of its apps: sentences of others name them."""
    words = (status.outcome or "running").replace("_", " ")
    return status.model_copy(
        update={
            "sentence": f"The train is {words}." if status.outcome is None else f"The train has ended: {words}.",
            "stages": [it.model_copy(update={"sentence": None}) for it in status.stages],
            "clock": status.clock.model_copy(
                update={"sentence": "It goes on." if status.outcome is None else "It has ended."}
            ),
            "way_back": status.way_back.model_copy(update={"sentence": "", "version": None, "digest": None}),
            "said": [it.model_copy(update={"text": None, "effect": None}) for it in status.said],
        }
    )
