"""Page ``/releases/compare``: two releases side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from release_pipelines.adapters.history import History, Release, ReleaseDetail
from release_pipelines.adapters.sbom.reading import NoSbom, components_in
from release_pipelines.airflow.findings import kept_results
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.delivery.deployments import Commit
from release_pipelines.core.findings.comparison import Comparison, Serving
from release_pipelines.core.model.component import Component
from release_pipelines.core.model.records import COMMITS
from release_pipelines.core.model.units import lasting
from release_pipelines.core.review.comparison import Pair, components, measurements, settings, stages
from release_pipelines.pages.access import NOT_YOURS, Refused, Viewer
from release_pipelines.pages.app import Looking
from release_pipelines.pages.found import may, seen
from release_pipelines.pages.html import page
from release_pipelines.spec.frozen import frozen_of

router = APIRouter(prefix="/compare")

SBOMS = ("sbom", ".cdx.json")
"""What the names of a release's SBOMs begin and end with."""
NOTHING = "\N{EN DASH}"
"""What stands where there is nothing."""
OTHERS = 20
"""Maximum number of other releases that are offered."""
SHOWN = 500
"""Maximum number of components or commits in one list."""


@router.get("")
def compare(request: Request, viewer: Looking, left: str = "", right: str = "") -> HTMLResponse:
    """Two releases; without a left one: against the version before."""
    history = HistoryHook().history()
    none: dict[str, Any] = {"asked": {"left": left, "right": right}, "pair": None, "first": None, "others": []}
    if not right.strip():
        return page(request, "compare.html", **none)
    after = seen(history, viewer, right.strip())
    before = seen(history, viewer, left.strip()) if left.strip() else _before(history, viewer, after)
    if before is None:
        return page(request, "compare.html", **{**none, "first": after})
    pair = Pair(before, after)
    frozen = _frozen(before, after)
    return page(
        request,
        "compare.html",
        asked={"left": before.id, "right": after.id},
        pair=pair,
        first=None,
        others=_others(history, viewer, before, after),
        facts=list(_facts(before, after)),
        commits=_commits(history, before, after),
        findings=_findings(history, before, after),
        components=_components(history, before, after),
        stages=stages(before, after),
        measurements=measurements(before, after),
        settings=settings(before, after, frozen),
        kept=frozen.left is not None,
        most=SHOWN,
        lasting=lasting,
    )


def _before(history: History, viewer: Viewer, release: Release) -> ReleaseDetail | None:
    found = history.version_before(release)
    if found is None:
        return None
    if not may(viewer, "GET", found):
        raise Refused(403, NOT_YOURS)
    return history.release(found.id)


def _others(history: History, viewer: Viewer, left: Release, right: Release) -> list[Release]:
    """Other releases of the right one's app, newest first: it can be compared with those, too."""
    found = history.releases(right.app, OTHERS)
    return [it for it in found if it.id not in (left.id, right.id) and may(viewer, "GET", it)]


def _facts(left: ReleaseDetail, right: ReleaseDetail) -> Iterator[tuple[str, Pair[str]]]:
    before, after = _told(left), _told(right)
    for name in before:
        yield name, Pair(before[name], after[name])


def _told(it: ReleaseDetail) -> dict[str, str]:
    commands = dict.fromkeys(f"{command.kind} by {command.by}" for command in it.commands)
    took = lasting(max(0.0, it.ended_at - it.started_at)) if it.ended_at is not None else "it has not ended"
    told = {
        "app": it.app,
        "version": it.version,
        "commit": it.commit,
        "image": it.image,
        "digest": it.digest,
        "direction": it.direction,
        "asked by": it.requester,
        "started by": it.started_by,
        "approved by": it.approver,
        "commands": ", ".join(commands),
        "outcome": (it.outcome or "running").replace("_", " "),
        "why": it.sentence,
        "duration": took,
        "notes": it.notes,
        "urgent because": it.reason,
    }
    return {name: value or NOTHING for name, value in told.items()}


def _commits(history: History, left: ReleaseDetail, right: ReleaseDetail) -> list[Commit] | None:
    """The commits that the later of two releases of one app brings; None: nobody knows."""
    if left.app != right.app:
        return None
    older, newer = sorted((left, right), key=lambda it: it.started_at)
    kept = history.attachment(older.id, COMMITS)
    known = {it.sha for it in _read(kept.content) or ()} if kept else set()
    told = [_read(it) for it in history.commits_between(older, newer)]
    if not any(it is not None for it in told):
        return None
    found = {commit.sha: commit for it in told for commit in it or ()}
    return [it for it in found.values() if it.sha not in known]


def _read(content: str) -> list[Commit] | None:
    try:
        return [Commit(str(it["sha"]), float(it["authored_at"]), bool(it["counts"])) for it in json.loads(content)]
    except (ValueError, KeyError, TypeError):
        return None


def _findings(history: History, left: ReleaseDetail, right: ReleaseDetail) -> dict[str, Any]:
    """What is new in the right one, and what is fixed."""
    try:
        before, after = kept_results(history, left.id), kept_results(history, right.id)
    except ValueError:
        return {"why_not": "What scanners found cannot be read: a text of one of the releases is damaged."}
    if not before or not after:
        lacks = left if not before else right
        return {"why_not": f"No scanner's results of {lacks.app} {lacks.version} are kept."}
    found = Comparison(after, Serving(left.version, before))
    new = [it for it in found.flaws if found.standing(it) == "new"]
    return {"why_not": None, "new": new, "fixed": found.fixed}


def _components(history: History, left: ReleaseDetail, right: ReleaseDetail) -> dict[str, Any]:
    """What the right one is made of, against the left one."""
    known: list[list[Component]] = []
    for it in (left, right):
        names = [name for name in history.attached(it.id) if name.startswith(SBOMS[0]) and name.endswith(SBOMS[1])]
        if not names:
            return {"why_not": f"No SBOM of {it.app} {it.version} is kept."}
        documents = [kept.content for name in names if (kept := history.attachment(it.id, name))]
        try:
            known.append([component for document in documents for component in components_in(document)])
        except NoSbom as error:
            return {"why_not": f"The SBOM of {it.app} {it.version} cannot be read: {error}."}
    return {"why_not": None, "differ": components(*known)}


def _frozen(left: ReleaseDetail, right: ReleaseDetail) -> Pair[Any]:
    """The specifications that they began with, where those of both are kept: a release that has ended keeps none."""
    specs = [frozen_of(it.app, it.id) for it in (left, right)]
    if any(it is None for it in specs):
        return Pair(None, None)
    before, after = (it and it.model_dump(mode="json") for it in specs)
    return Pair(before, after)
