"""Page ``/releases/audit``: who did what, when and from where; whether that is whole; and its export."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import chain
from typing import IO, Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import HTMLResponse, JSONResponse, StreamingResponse

from release_pipelines.adapters.history import History
from release_pipelines.adapters.history.trail import Wanted
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.audit import export
from release_pipelines.core.audit.row import Row
from release_pipelines.core.audit.verifying import Head, Verified, rows_in_words, verified
from release_pipelines.core.model.release_id import run_of
from release_pipelines.pages.access import Refused, Viewer, address_of
from release_pipelines.pages.app import Looking
from release_pipelines.pages.found import as_file, readable_apps
from release_pipelines.pages.html import page, render

router = APIRouter(prefix="/audit")

ON_A_PAGE = 50
PIECE = 64 * 1024
"""Bytes of an export that are sent at a time."""
IN_MEMORY = 4 * 1024 * 1024
"""Bytes up to which an export is not written to a file first."""
VERIFIED = "verify"
"""Action of the rows that tell of a verification."""
HIGHEST_NUMBER = 2**62
ONLY_ALL = "The head and the verification are of all rows: who may read every app, and Airflow's audit log, sees them."
_turn = threading.Lock()
"""One verification at a time: it reads all rows."""


@dataclass(frozen=True)
class Asked:
    """What a viewer asks for, and may see.

    :param whole: whether they may see all rows, those that are about no app too.
    :param apps: the apps whose rows they may see, by name.
    :param fields: what was asked for, as it was written; empty: nothing.
    """

    whole: bool
    apps: list[str]
    wanted: Wanted
    fields: dict[str, str]

    @property
    def part(self) -> dict[str, Any] | None:
        """Which part of the trail it is; None: all. An export that `release audit` can make says the same there."""
        it = self.wanted
        more = {"person": it.person, "action": it.action, "apps": None if self.whole else self.apps}
        told = {"app": it.app, "since": iso(it.since), "until": iso(it.until)}
        told_too = {name: value for name, value in more.items() if value is not None}
        return {**told, **told_too} if self.filtered or told_too else None

    @property
    def filtered(self) -> dict[str, str]:
        """The fields that say something, for addresses."""
        return {name: text for name, text in self.fields.items() if text}


def asked(
    viewer: Viewer,
    history: History,
    app: str = "",
    person: str = "",
    action: str = "",
    since: str = "",
    until: str = "",
) -> Asked:
    """What is asked for.

    :raises Refused: when a day is none.
    """
    given = {"app": app, "person": person, "action": action, "since": since, "until": until}
    fields = {name: text.strip() for name, text in given.items()}
    begin, end = moment(fields["since"], "from"), moment(fields["until"], "before")
    if begin is not None and end is not None and begin >= end:
        raise Refused(422, "The span ends before it begins: the earlier day is expected first.")
    known = history.audit_apps()
    mine = readable_apps(viewer, known, history.dags_of_apps())
    whole = len(mine) == len(known) and may_read_audit_log(viewer)
    wanted = Wanted(
        None if whole else mine, fields["app"] or None, fields["person"] or None, fields["action"] or None, begin, end
    )
    return Asked(whole, sorted(mine), wanted, fields)


def may_read_audit_log(viewer: Viewer) -> bool:
    """Whether the viewer may read Airflow's own audit log, as Airflow asks it. Asks Airflow: not in an event loop."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity

    return viewer.manager.is_authorized_dag(
        method="GET", access_entity=DagAccessEntity.AUDIT_LOG, details=None, user=viewer.user
    )


def moment(text: str, name: str) -> float | None:
    """A day, or a moment, in UTC where it names no zone, as Unix time in seconds; None where there is nothing.

    :raises Refused: when it is none.
    """
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        raise Refused(
            422, f"`{name}`: a day or a moment like 2026-11-01 or 2026-11-01T12:00+01:00 is expected."
        ) from None


def iso(at: float | None) -> str | None:
    """A Unix time as exports have it."""
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds") if at is not None else None


@router.get("")
def audit(
    request: Request,
    viewer: Looking,
    app: str = "",
    person: str = "",
    action: str = "",
    since: str = "",
    until: str = "",
    before: Annotated[int | None, Query(ge=0, le=HIGHEST_NUMBER)] = None,
) -> HTMLResponse:
    """The rows that the viewer may see, newest first."""
    history = HistoryHook().history()
    this = asked(viewer, history, app, person, action, since, until)
    rows = history.audit_page(this.wanted, before, ON_A_PAGE + 1)
    query = urlencode(this.filtered)
    return page(
        request,
        "audit.html",
        asked=this,
        rows=[shown(it) for it in rows[:ON_A_PAGE]],
        older=urlencode({**this.filtered, "before": rows[ON_A_PAGE - 1].number}) if len(rows) > ON_A_PAGE else None,
        before=before,
        query=f"?{query}" if query else "",
        actions=history.audit_actions(this.wanted.apps),
        only_all=ONLY_ALL,
        **whole_trail(history, this.whole),
    )


def whole_trail(history: History, whole: bool) -> dict[str, Any]:
    """What is told of the whole trail, to who may see all of it."""
    if not whole:
        return {"head": None, "last": None, "whole": False}
    newest = history.audit_page(Wanted(action=VERIFIED), limit=1)
    return {"head": history.audit_head(), "last": shown(newest[0]) if newest else None, "whole": True}


def shown(row: Row) -> dict[str, Any]:
    """A row as the page has it."""
    told = dict(zip(export.COLUMNS, export.cells(row), strict=True))
    at = export.moment_of(row)
    dag_id, run_id = run_of(row.release) if "/" in row.release else ("", "")
    return {**told, "moment": at.timestamp() if at else None, "dag_id": dag_id, "run_id": run_id}


class Nothing(BaseModel):
    """A body without content."""

    model_config = ConfigDict(extra="forbid")


@router.post("/verify")
def verify(request: Request, viewer: Looking, _: Nothing) -> JSONResponse:
    """Say whether the trail is whole; a row keeps who had it verified, when, and what came out."""
    history = HistoryHook().history()
    if not asked(viewer, history).whole:
        raise Refused(403, ONLY_ALL)
    if not _turn.acquire(blocking=False):
        raise Refused(409, "It is being verified already: look again in a moment.")
    try:
        rows, head = history.audit_trail()
        found = verified(rows, [head] if head else [])
    finally:
        _turn.release()
    sentences = in_words(found, head)
    if head is not None:  # a row that is added now would make a head anew, and hide since when there is none
        data = {"rows": str(found.rows), "breaks": str(len(found.breaks))}
        history.audit(
            VERIFIED,
            "done",
            texts={"actor": viewer.name, "about": sentences[0], "address": address_of(request)},
            data=data,
        )
    context = {"sentences": sentences, "good": found.whole and head is not None, **whole_trail(history, True)}
    parts = {"verified": render(request, "parts/verified.html", **context)}
    return JSONResponse({"sentence": sentences[0], "parts": parts}, headers={"Cache-Control": "no-store"})


def in_words(found: Verified, head: Head | None) -> list[str]:
    """What a verification found, the most important first, as sentences."""
    breaks = [*found.breaks, *([] if head else ["the head is missing from the database"])]
    count = len(breaks)
    good = f"{rows_in_words(found.rows)}, nothing of them was changed, removed or inserted"
    first = f"{rows_in_words(found.rows)}, {count} break{'s' if count != 1 else ''}" if breaks else good
    cut = "the end was compared only with the head that the database has: a cut end shows against one that is kept elsewhere, with `release audit --verify --head`"
    remarks = [it for it in found.remarks if "cut end" not in it]
    return [f"{it[0].upper()}{it[1:]}." for it in (first, *breaks, *remarks, cut)]


@router.get("/audit.csv")
def as_csv(
    viewer: Looking, app: str = "", person: str = "", action: str = "", since: str = "", until: str = ""
) -> StreamingResponse:
    """The rows for people with a spreadsheet."""
    return _exported("csv", viewer, app, person, action, since, until)


@router.get("/audit.json")
def as_json(
    viewer: Looking, app: str = "", person: str = "", action: str = "", since: str = "", until: str = ""
) -> StreamingResponse:
    """The rows for `release audit --verify --file`."""
    return _exported("json", viewer, app, person, action, since, until)


def _exported(kind: str, viewer: Viewer, *fields: str) -> StreamingResponse:
    """An export. It is written whole before its first byte is sent: what fails has a status, and no slow reader holds the database."""
    history = HistoryHook().history()
    this = asked(viewer, history, *fields)
    kept = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed when it has been sent
    try:
        with history.audit_reading(this.wanted) as (rows, head):
            end = head if this.part is None else None
            for piece in (
                export.csv_pieces(export.COLUMNS, map(export.cells, rows))
                if kind == "csv"
                else chain(export.json_pieces(rows, end, this.part), ["\n"])
            ):
                kept.write(piece.encode(errors="replace"))
    except BaseException:
        kept.close()
        raise
    kept.seek(0)
    media_type = "text/csv; charset=utf-8" if kind == "csv" else "application/json"
    return StreamingResponse(_sent(kept), media_type=media_type, headers=as_file(f"release-audit.{kind}"))


def _sent(kept: IO[bytes]) -> Iterator[bytes]:
    with kept:
        while piece := kept.read(PIECE):
            yield piece
