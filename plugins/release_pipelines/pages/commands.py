"""``POST /releases/runs/<DAG id>/<run id>/commands``: what a person tells a release, and what its page offers them to tell."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError

from release_pipelines.adapters.history import HistoryUnavailable
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.command import Command, not_answered
from release_pipelines.core.model.release_id import ROLLBACK_DAG
from release_pipelines.core.steering import ANSWERS, NEED_REASON, Given, No, Order, Seen, Steerer, Word, not_theirs
from release_pipelines.core.text import one_line
from release_pipelines.pages.access import Refused, Viewer, address_of, airflow_root
from release_pipelines.pages.app import Looking
from release_pipelines.pages.case import Case, case_of
from release_pipelines.pages.inside import ask_airflow

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.core.model.records import ReleaseDetail

log = logging.getLogger(__name__)
router = APIRouter(prefix="/runs/{dag_id}/{run_id}")

ANSWER_SECONDS = 1.6
"""How long an answer of the release is waited for, in seconds: whoever clicked reads a sentence within two."""
LOOK_SECONDS = 0.2
"""Pause between two looks for it, in seconds."""
REASON_LIMIT = 2000
"""Longest reason that is taken, in characters."""
AT_ONCE: tuple[Word, ...] = ("abort", "pause")
"""Commands that do not wait for the history."""
LABELS: dict[Word, str] = {
    "pause": "Pause",
    "resume": "Resume",
    "skip": "Skip",
    "promote": "Promote",
    "approve": "Approve",
    "reject": "Reject",
    "roll_back": "Roll back",
    "abort": "Abort",
}
MEANS: dict[Word, str] = {
    "pause": "The hold's clock stops, the traffic stays, and a failing verdict still takes it back.",
    "resume": "The hold's clock goes on.",
    "skip": "This hold ends now, as passed; the next stage begins.",
    "promote": "Every hold that is left ends now, as passed; checks and questions stay.",
    "approve": "The release goes on with exactly this image.",
    "reject": "The release ends; nothing more of it is rolled out.",
    "roll_back": "A rollback of its own starts, takes precedence over a release that runs, and puts the chosen version back.",
    "abort": "All traffic goes back to the old version at once, and the release ends.",
}


class SeenBody(BaseModel):
    """What was seen by whoever gives a command."""

    model_config = ConfigDict(extra="forbid")

    release: str = Field(max_length=600)
    step: str | None = Field(None, max_length=255)
    weight: int | None = None
    digest: str | None = Field(None, max_length=80)


class CommandBody(BaseModel):
    """A command."""

    model_config = ConfigDict(extra="forbid")

    kind: Word
    reason: str = Field("", max_length=REASON_LIMIT)
    seen: SeenBody
    version: str | None = Field(None, max_length=255, description="What to go back to")


@dataclass(frozen=True)
class Action:
    """A button.

    :param word: what it tells the release.
    :param label: the same for people.
    :param means: what comes of it.
    :param needs_reason: whether it needs a reason.
    :param versions: what can be chosen to go back to.
    """

    word: Word
    label: str
    means: str
    needs_reason: bool
    versions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Actions:
    """What a person may tell a release now.

    :param case: who, and what.
    :param detail: the release.
    :param seen: what a command from here says that it saw.
    :param buttons: in the order in which they stand.
    """

    case: Case
    detail: ReleaseDetail
    seen: Seen
    buttons: tuple[Action, ...]


def actions(case: Case, detail: ReleaseDetail) -> Actions:
    """What a person may tell a release now, for its page.

    :param case: who, and what.
    :param detail: the newest life of a run's release.
    """
    state, words = case.state(detail), case.words(detail)
    buttons = tuple(
        Action(
            word,
            LABELS[word],
            MEANS[word],
            word in ("abort", "reject", "roll_back"),
            state.good if word == "roll_back" else (),
        )
        for word in LABELS
        if word in words
    )
    return Actions(case, detail, Seen(case.release, state.step, state.weight, state.digest), buttons)


@router.post("/commands")
async def give(request: Request, viewer: Looking, dag_id: str, run_id: str, body: CommandBody) -> dict[str, Any]:
    """Tell a release something; answered by the sentence of who acted."""
    order = order_of(request, viewer, body)
    try:
        history, release, given = await asyncio.to_thread(_given, viewer, dag_id, run_id, order, body.version)
        if given.no:
            raise Refused(given.no.status, given.no.sentence)
        told: dict[str, Any] = {"kind": order.kind, "by": order.by}
        if given.command:
            return told | await _taken_up(history, given.command)
        if order.kind in ANSWERS:
            return told | await _answered(request, history, release, order, given)
        return told | await _rolled_back(request, history, release, order, given, body.version or "")
    except HistoryUnavailable as error:
        if order.kind in AT_ONCE:
            return await _at_once(viewer, dag_id, run_id, order)
        log.error("%s by %s could not be taken: %s", order.kind, one_line(order.by, 80), error)
        raise Refused(503, f"The history does not answer, so `{order.kind}` was not taken.") from error


def order_of(request: Request, viewer: Viewer, body: CommandBody) -> Order:
    """A command as it was given: by whom, from where, and what they saw."""
    seen = Seen(body.seen.release, body.seen.step, body.seen.weight, body.seen.digest)
    click = [str(viewer.identity.id), body.kind, body.reason, seen.release, seen.step, seen.digest, body.version]
    return Order(
        body.kind,
        viewer.name,
        body.reason.strip() or None,
        key=hashlib.sha256(json.dumps(click).encode()).hexdigest()[:32],
        id=uuid.uuid4().hex,
        address=address_of(request),
        seen=seen,
    )


async def _at_once(viewer: Viewer, dag_id: str, run_id: str, order: Order) -> dict[str, Any]:
    try:
        return await asyncio.to_thread(_beside, viewer, dag_id, run_id, order)
    except SQLAlchemyError as error:
        log.error("%s by %s could not be taken: %s", order.kind, one_line(order.by, 80), type(error).__name__)
        raise Refused(
            503, f"Neither the history nor Airflow's database answers, so `{order.kind}` was not taken."
        ) from error


def _beside(viewer: Viewer, dag_id: str, run_id: str, order: Order) -> dict[str, Any]:
    """Keep what cannot wait for the history in Airflow's own database, by what Airflow alone knows of the person and the run."""
    from release_pipelines.airflow.aside import put_aside
    from release_pipelines.pages.forms import life_of

    person = Steerer(viewer.identity, runs=viewer.may("POST", dag_id))
    no = not_theirs(order.kind, person) or (
        No("incomplete", NEED_REASON[order.kind]) if order.kind in NEED_REASON and not order.reason else None
    )
    life = life_of(dag_id, run_id)
    if no is None and (life is None or order.seen.release != f"{dag_id}/{run_id}#{life}"):
        no = No("not now", "The run was cleared since, or is gone: look at the page again.")
    if no:
        raise Refused(no.status, no.sentence)
    log.warning(
        "%s of %s by %s from %s goes beside the history", order.kind, order.seen.release, order.by, order.address
    )
    put_aside(order.seen.release, order.kind, order.by, order.reason)
    sentence = (
        f"{order.kind} by {order.by}: the history does not answer; the release takes it up within seconds all the same, "
        f"where a trigger works for it."
    )
    if order.kind == "abort":
        sentence += f" The DAG {ROLLBACK_DAG} moves the traffic, too."
    return {"kind": order.kind, "by": order.by, "sentence": sentence, "answered": False}


def _given(
    viewer: Viewer, dag_id: str, run_id: str, order: Order, version: str | None
) -> tuple[History, ReleaseDetail, Given]:
    history = HistoryHook().history()
    release = history.newest_life(dag_id, run_id)
    if release is None:
        raise Refused(409, "The history knows no release of this run: there is nothing to steer.")
    detail = history.steered(release)
    case = case_of(viewer, history, detail)
    if no := not_theirs(order.kind, case.person):  # who may only look writes nothing anywhere
        log.warning("%s of %s was refused to %s from %s", order.kind, release, one_line(order.by, 80), order.address)
        return history, detail, Given(no=no)
    given = history.give(release, order, lambda now: case.no(order.kind, now, order.reason, order.seen, version))
    return history, detail, given


async def _taken_up(history: History, command: Command) -> dict[str, Any]:
    """The release's own answer, where it comes soon. Nothing waits in a thread meanwhile."""
    end = time.monotonic() + ANSWER_SECONDS
    with suppress(HistoryUnavailable):  # it is taken all the same
        while command.answered_at is None and time.monotonic() < end:
            await asyncio.sleep(LOOK_SECONDS)
            command = await asyncio.to_thread(history.answered, command, 0)
    if command.answered_at is None:
        return {"sentence": f"{command.kind} by {command.by}: {not_answered(command.kind)}", "answered": False}
    return {"sentence": f"{command.by}: {command.effect}", "answered": True}


async def _answered(
    request: Request, history: History, detail: ReleaseDetail, order: Order, given: Given
) -> dict[str, Any]:
    """Answer the form through Airflow, whose own checks hold; the release's task then decides by its rules."""
    from release_pipelines.pages.forms import open_form

    done = "approved" if order.kind == "approve" else "rejected"
    answer = {"sentence": f"{order.by}: {detail.version} is {done}.", "answered": True}
    form = await asyncio.to_thread(open_form, detail.dag_id, detail.run_id)
    if given.id != order.id:  # the same click a moment before
        return answer | await _first(history, detail, order)
    if form is None:
        return await _refuse(history, detail, order, No("not now", "Airflow has no form that waits for an answer."))
    path = f"{_run(detail.dag_id, detail.run_id)}/taskInstances/{quote(form.task, safe='')}/-1/hitlDetails"
    chosen = "Approve" if order.kind == "approve" else "Reject"
    status, said = await ask_airflow(
        request, "PATCH", path, {"chosen_options": [chosen], "params_input": {"reason": order.reason}}
    )
    if status >= 400:
        return await _refuse(history, detail, order, _no_of(status, said))
    return answer


async def _rolled_back(
    request: Request, history: History, detail: ReleaseDetail, order: Order, given: Given, version: str
) -> dict[str, Any]:
    """Start a rollback as a run of its own, with the rights of who asks."""
    run = f"page__{given.id}"
    link = f"{airflow_root(request)}/dags/{ROLLBACK_DAG}/runs/{run}"
    answer = {"sentence": f"{order.by}: {detail.app} goes back to {version}.", "answered": True, "link": link}
    if given.id != order.id:
        return answer | await _first(history, detail, order)
    conf = {"app": detail.app, "version": version, "reason": order.reason or ""}
    body = {"dag_run_id": run, "logical_date": None, "conf": conf}
    status, said = await ask_airflow(request, "POST", f"/api/v2/dags/{ROLLBACK_DAG}/dagRuns", body)
    if status >= 400:
        return await _refuse(history, detail, order, _no_of(status, said))
    return answer


async def _first(history: History, detail: ReleaseDetail, order: Order) -> dict[str, Any]:
    """What became of the same click a moment before: it is refused, or it is not for as long as an answer is waited for."""
    end = time.monotonic() + ANSWER_SECONDS / 2
    with suppress(HistoryUnavailable):
        while time.monotonic() < end:
            if no := await asyncio.to_thread(history.refusal_of, detail.id, order):
                raise Refused(no.status, no.sentence)
            await asyncio.sleep(LOOK_SECONDS)
    return {}


async def _refuse(history: History, detail: ReleaseDetail, order: Order, no: No) -> dict[str, Any]:
    with suppress(HistoryUnavailable):  # it is refused all the same
        await asyncio.to_thread(history.refuse, detail.id, order, no)
    raise Refused(no.status, no.sentence)


def _no_of(status: int, said: str) -> No:
    why = f": {said}" if said else "."
    if status in (401, 403):
        return No("not yours", f"Airflow does not let you{why}")
    return No("not now", f"Airflow did not take it (status {status}){why}")


def _run(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"
