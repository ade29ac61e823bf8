"""Page ``/releases/``: apps and environments, what runs there, and what is going on."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from release_pipelines.adapters.history import HistoryUnavailable
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.overview import (
    SORTS,
    STATES,
    Counts,
    Listed,
    Place,
    Row,
    Wish,
    counts,
    dags_of,
    rows,
    visible,
    wanted,
)
from release_pipelines.pages.access import Refused, Viewer
from release_pipelines.pages.app import Looking
from release_pipelines.pages.files import FILES, File
from release_pipelines.pages.html import NOT_KEPT, macros, page, render, segment
from release_pipelines.pages.live import streams
from release_pipelines.pages.saying import Told, endings
from release_pipelines.pages.windows import WINDOWS

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.adapters.history.pulse import News

log = logging.getLogger(__name__)
router = APIRouter()

PER_PAGE = 100
"""So many rows one page has: a browser stays quick, and a search finds the others."""
LONGEST = 200
"""Longest text that is searched for, in characters."""


class Shot(NamedTuple):
    """All apps at one moment, for everybody: what somebody may see of it is cut out for them.

    :param rows: each with the DAGs that it comes from.
    """

    rows: tuple[tuple[Row, frozenset[str]], ...]
    files: Mapping[str, File]


class View(NamedTuple):
    """What one person sees.

    :param listed: all rows that they want to see.
    :param shown: those of this page, with their windows.
    :param known: all rows that they may see.
    :param mine: ids of the releases that wait for them.
    :param has_files: whether this process has the files: where it has none, no app can be said to have none any more.
    """

    wish: Wish
    known: list[Row]
    listed: list[Row]
    shown: list[Row]
    counts: Counts
    mine: frozenset[str]
    has_files: bool

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return max(1, -(-len(self.listed) // PER_PAGE))

    @property
    def environments(self) -> list[str]:
        """What can be chosen."""
        return sorted({it.environment for row in self.known for it in row.places})

    @property
    def teams(self) -> list[str]:
        """What can be chosen."""
        return sorted({row.team for row in self.known} - {""})

    @property
    def tags(self) -> list[str]:
        """What can be chosen."""
        return sorted({it for row in self.known for it in row.tags})

    def address(self, **changed: Any) -> str:
        """The query of the same list with something changed; what is not chosen is left out."""
        asked = {"q": self.wish.text, **self.wish._asdict(), **changed}
        del asked["text"]
        usual = {**Wish()._asdict(), "q": ""}
        return "?" + urlencode({k: v for k, v in asked.items() if v and v != usual.get(k)})


def shot(history: History) -> Shot:
    """All apps now, from the history and the files."""
    told, files = history.told(), FILES.all()
    found = rows(told, {name: it.shown for name, it in files.items()}, time.time())
    return Shot(tuple((row, frozenset(dags_of(row))) for row in found), files)


class Sight(NamedTuple):
    """What somebody wants and may see, and what waits for them; whoever has the same one sees the same.

    :param wish: the list that their address asks for.
    :param readable: ids of the DAGs that they may read.
    :param mine: ids of the releases that wait for them.
    """

    wish: Wish
    readable: frozenset[str]
    mine: frozenset[str]


class Overview:
    """The list that an address asks for, live. All lists are cut out of one shot."""

    key: Hashable = "overview"
    release: str | None = None

    def __init__(self, wish: Wish) -> None:
        self.wish = wish

    def touched(self, news: News) -> bool:
        """By whatever is new."""
        return True

    def read(self, history: History) -> Shot:
        """All apps."""
        return shot(history)

    def sight(self, data: Shot, viewer: Viewer) -> Sight:
        """What the viewer may see. Asks Airflow: not in an event loop."""
        readable = frozenset(viewer.readable(set().union(*(dags for _, dags in data.rows))))
        who = viewer.identity
        mine = (
            release.id
            for row, _ in data.rows
            if row.dag_id in readable and row.name in data.files
            for release in row.running
            if release.waits and data.files[row.name].waits_for(release, who)
        )
        return Sight(self.wish, readable, frozenset(mine))

    def parts(self, request: Request, data: Shot, sight: Sight) -> dict[str, str]:
        """Each row of their page, and the numbers above the list."""
        seen = view(data, sight)
        found = {
            f"overview-{it}": render(request, f"parts/overview_{it}.html", view=seen) for it in ("counts", "empty")
        }
        written = macros(request, "parts/overview_row.html", view=seen, row_id=row_id)
        return found | {row_id(row): str(written.whole(row)) for row in seen.shown}

    def told(self, data: Shot, sight: Sight) -> Sequence[Told]:
        """Which releases begin and end."""
        seen = view(data, sight)
        return endings([it for row in seen.listed for it in (*row.running, row.last) if it is not None])


def view(taken: Shot, sight: Sight) -> View:
    """What somebody may see and wants to see."""
    wish = sight.wish
    known = [it for row, dags in taken.rows if (it := row if dags <= sight.readable else visible(row, sight.readable))]
    listed = wanted(known, wish)
    here = listed[(wish.page - 1) * PER_PAGE : wish.page * PER_PAGE]
    shown = [with_windows(row, taken.files.get(row.name)) for row in here]
    return View(wish, known, listed, shown, counts(known, sight.mine), sight.mine, bool(taken.files))


def with_windows(row: Row, file: File | None) -> Row:
    """A row with what its calendars say now."""
    if file is None or not file.rules:
        return row

    def at(place: Place) -> Place:
        rule = file.rules.get(place.environment)
        return place._replace(window=WINDOWS.of(rule)) if rule is not None else place

    places = tuple(map(at, row.places))
    return row._replace(places=places)


def wish_of(asked: Mapping[str, str]) -> Wish:
    """What an address asks for.

    :raises Refused: when it says something that there is not, in a sentence.
    """
    state, sort, number = asked.get("state", ""), asked.get("sort") or "app", asked.get("page") or "1"
    for name, value, known in (("state", state, ("", *STATES)), ("sort", sort, SORTS)):
        if value not in known:
            raise Refused(400, f"`{name}`: one of {', '.join(filter(None, known))} is expected.")
    if not (number.isascii() and number.isdigit() and 1 <= int(number[:9]) == int(number)):
        raise Refused(400, "`page`: a number from 1 on is expected.")
    text = asked.get("q", "")
    if len(text) > LONGEST:
        raise Refused(400, f"`q`: at most {LONGEST} characters are expected.")
    chosen = {name: asked.get(name, "") for name in ("environment", "team", "tag")}
    return Wish(text=text.strip(), state=state or None, sort=sort, page=int(number), **chosen)  # type: ignore[arg-type]


WORDS = {
    "running": "a release runs",
    "waits": "waits for a person",
    "failed": "the last release failed",
    "drift": "drift",
}
ORDERS = {
    "app": "by name",
    "version": "by version",
    "since": "newest change first",
    "last": "newest release first",
}


def _page(request: Request, seen: View) -> Response:
    first = (seen.wish.page - 1) * PER_PAGE + 1
    of = f"{len(seen.listed)} of {len(seen.known)}" if len(seen.listed) != len(seen.known) else str(len(seen.known))
    which = f"{first} to {first + len(seen.shown) - 1} of {of}" if seen.pages > 1 else of
    shown_of = f"Apps and trains: {which}, {ORDERS[seen.wish.sort]}"

    def named(values: Sequence[str]) -> dict[str, str]:
        return {it: it for it in values}

    return page(
        request, "overview.html", view=seen, words=WORDS, orders=ORDERS, named=named, shown_of=shown_of, row_id=row_id
    )


@router.get("/")
def overview(request: Request, viewer: Looking) -> Response:
    """All apps and environments that the viewer may see."""
    if _wants_json(request):
        return as_json(request, viewer)
    return _page(request, _looked(request, viewer)[1])


@router.get("/overview.json")
def as_json(request: Request, viewer: Looking) -> Response:
    """The same rows for programs, all pages at once."""
    taken, seen = _looked(request, viewer)
    listed = [_as_json(with_windows(row, taken.files.get(row.name))) for row in seen.listed]
    return JSONResponse({"counts": seen.counts._asdict(), "rows": listed}, headers=NOT_KEPT)


streams(router, lambda request: Overview(wish_of(request.query_params)))


def _looked(request: Request, viewer: Viewer) -> tuple[Shot, View]:
    """What a request asks for.

    :raises Refused: when the history does not answer.
    """
    live = Overview(wish_of(request.query_params))
    try:
        taken = live.read(HistoryHook().history())
    except HistoryUnavailable as error:
        log.warning("The overview cannot be shown: %s", error)
        raise Refused(503, "The release history does not answer: what runs now is not known. Look again.") from error
    return taken, view(taken, live.sight(taken, viewer))


def _wants_json(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted


def row_id(row: Row) -> str:
    """The id of a row's element."""
    return f"app-{segment(row.name)}"


def _as_json(row: Row) -> dict[str, Any]:
    """A row for programs; times are Unix times in seconds."""
    return {
        "name": row.name,
        "kind": "train" if row.train else "app",
        "dag_id": row.dag_id,
        "has_file": row.filed is not None,
        "team": row.team,
        "tags": list(row.tags),
        "states": [it for it in STATES if row.is_in(it)],
        "environments": [_place_as_json(it) for it in row.places],
        "running": [_release_as_json(it) for it in row.running],
        "last_release": row.last and _release_as_json(row.last),
    }


def _place_as_json(place: Place) -> dict[str, Any]:
    now, window = place.now, place.window
    seen = now.seen
    return {
        "environment": place.environment,
        "state": now.state,
        "version": seen and seen.version,
        "digest": seen and seen.digest,
        "since": seen and seen.since,
        "by": place.brought and place.brought.by,
        "backward": seen is not None and seen.backward,
        "observed_at": seen and seen.observed_at,
        "not_observed_since": now.not_observed_since,
        "health": None if now.old or now.health is None else now.health.state,
        "drift_since": now.drift_since,
        "lease": place.held or place.holder,
        "running": place.running and place.running.id,
        "last_release": place.last and _release_as_json(place.last),
        "may_begin": window and window.may_begin,
        "next_window": window and window.next_at,
    }


def _release_as_json(it: Listed) -> dict[str, Any]:
    plain = (
        "id",
        "dag_id",
        "run_id",
        "version",
        "digest",
        "commit",
        "outcome",
        "sentence",
        "by",
        "approver",
        "planned",
    )
    progress = it.progress
    return {
        **{name: getattr(it, name) for name in plain},
        "state": it.state,
        "started_at": it.started_at,
        "ended_at": it.ended_at,
        "environment": progress and progress.environment,
        "step": progress and progress.step,
        "weight": progress and progress.weight,
        "apps": [{"app": app.app, "version": app.version, "result": app.result} for app in it.apps],
        "apps_that_you_may_not_see": it.unseen,
    }
