"""Page ``/releases/runs/<DAG id>/<run id>``: one release, now and afterwards."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.release_id import dag_of, run_of
from release_pipelines.core.model.train import IN_WORDS
from release_pipelines.pages.access import NOT_YOURS, Refused, Viewer
from release_pipelines.pages.app import Looking
from release_pipelines.pages.case import case_on
from release_pipelines.pages.commands import Actions, actions
from release_pipelines.pages.html import page, render
from release_pipelines.pages.live import streams
from release_pipelines.pages.reading import Found, Reading, life_of
from release_pipelines.pages.saying import Told, told

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.adapters.history.pulse import News
    from release_pipelines.core.status.model import ReleaseStatus

router = APIRouter(prefix="/runs/{dag_id}/{run_id}")

PARTS = (
    "header",
    "sentence",
    "clock",
    "actions",
    "train",
    "stages",
    "tracks",
    "metrics",
    "way_back",
    "deployed",
    "record",
    "after",
)
"""What of the page changes while it is looked at, in its order: ids of its elements, and names of their templates."""
OF_A_TRAIN, OF_ONE_APP = {"train"}, {"tracks", "metrics", "way_back", "deployed"}
"""What only the one or the other has: a train's apps have pages of their own, with their traffic and numbers."""


class Sight(NamedTuple):
    """What of a release somebody may see and do; those with equal ones see the same page.

    :ivar apps: of a train, those that they may see.
    :ivar words: what they may tell it.
    """

    apps: frozenset[str]
    words: tuple[str, ...]


class One:
    """One release, live.

    :param life: which of its run's releases; None: the newest.
    """

    def __init__(self, reading: Reading, dag_id: str, run_id: str, life: int | None = None) -> None:
        self.reading, self.dag_id, self.run_id, self.life = reading, dag_id, run_id, life
        self.key: Hashable = (dag_id, run_id, life)
        self.release: str | None = None
        self._app: str | None = None

    def touched(self, news: News) -> bool:
        """By what is new of it, or of what its app runs."""
        mine = (self.dag_id, self.run_id)
        return news.everything or self._app in news.apps or any(run_of(it) == mine for it in news.releases)

    def read(self, history: History) -> Found | None:
        """The release; None: the history does not know it."""
        found = self.reading.read(history, self.dag_id, self.run_id, self.life)
        if found is not None:
            self.release, self._app = found.release.id, found.release.app
        return found

    def sight(self, data: Found | None, viewer: Viewer) -> Sight:
        """Who may read the DAG sees all of it, but for a train's other apps; all apps have one DAG for rollbacks by hand.

        :raises Refused: when the viewer may not see it.
        """
        if not viewer.may("GET", self.dag_id) or (data is not None and not viewer.sees(data.release)):
            raise Refused(403, NOT_YOURS)
        if data is None:
            return Sight(frozenset(), ())
        told = _actions(data, viewer)
        words = tuple(it.word for it in told.buttons) if told else ()
        return Sight(frozenset(viewer.readable({dag_of(it.app) for it in data.apps})), words)

    def parts(self, request: Request, data: Found | None, sight: Sight) -> dict[str, str]:
        """All of it."""
        shown = self.shown(request.state.viewer, data, sight)
        return {name: render(request, f"parts/{name}.html", **shown) for name in shown["names"]}

    def shown(self, viewer: Viewer, data: Found | None, sight: Sight) -> dict[str, Any]:
        """What the templates use."""
        where: dict[str, Any] = {"dag_id": self.dag_id, "run_id": self.run_id}
        if data is None:
            return {**where, "release": None, "names": ["nothing"]}
        apps = [it for it in data.apps if dag_of(it.app) in sight.apps]
        return {
            **where,
            "release": data.release,
            "names": [it for it in PARTS if it not in (OF_ONE_APP if data.apps else OF_A_TRAIN)],
            "life": life_of(data.release.id),
            "lives": [(life_of(it), it) for it in data.lives],
            "apps": [(it, dag_of(it.app), IN_WORDS[it.result]) for it in apps],
            "hidden": len(data.apps) - len(apps),
            "actions": _actions(data, viewer),
            "state": _without_others(data.status) if len(apps) < len(data.apps) else data.status,
        }

    def told(self, data: Found | None, sight: Sight) -> Sequence[Told]:
        """Each change of its state."""
        return told(data.release) if data and len(sight.apps) == len({it.app for it in data.apps}) else ()


def found(
    request: Request, viewer: Viewer, dag_id: str, run_id: str, life: int | None = None, *, seconds: float = 0.0
) -> Found | None:
    """The release that an address means; None: the history knows none.

    :param life: which of the run's releases; None: the newest.
    :param seconds: how old what was read may be.
    :raises Refused: when the viewer may not see it.
    """
    reading: Reading = request.app.state.reading
    release = reading.of(dag_id, run_id, life, seconds)
    if release and not viewer.sees(release.release):
        raise Refused(403, NOT_YOURS)
    return release


def one(request: Request) -> One:
    """The release that a request means."""
    life = request.query_params.get("life", "")
    names = request.path_params
    number = int(life) if life.isdecimal() and len(life) < 10 else None
    return One(request.app.state.reading, names["dag_id"], names["run_id"], number)


@router.get("")
def release(request: Request, viewer: Looking, dag_id: str, run_id: str, life: int | None = None) -> HTMLResponse:
    """The release of a run."""
    live = one(request)
    data = live.read(HistoryHook().history())
    return page(request, "release.html", viewer=viewer, **live.shown(viewer, data, live.sight(data, viewer)))


streams(router, one)


def _actions(data: Found, viewer: Viewer) -> Actions | None:
    """What the viewer may tell the release; None: it is an earlier life of its run, which hears nothing any more."""
    return actions(case_on(data.ground, viewer, data.release), data.release) if data.ground else None


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
