"""What a release brings: version, digest, commits, and what was found about them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from release_pipelines.core.links import commit_page
from release_pipelines.core.model.records import COMMITS, ReleaseDetail
from release_pipelines.core.sarif import REPORT
from release_pipelines.core.status.model import Commit, Deployed, Findings, Line

EVIDENCE = "evidence"
MOST_COMMITS = 100
"""So many of the newest commits are told."""


def deployed_of(
    release: ReleaseDetail, line: Line | None, texts: Mapping[str, str], attached: Collection[str] = ()
) -> Deployed:
    """What it brings.

    :param texts: contents of its attachments by name, as far as they are wanted here.
    :param attached: the names of all of its attachments.
    """
    repository = line.repository if line else None
    checks: dict[str, str] = {}
    for event in release.events:
        if event.kind == EVIDENCE and event.data and event.data.get("digest") == release.digest:
            checks |= {str(name): str(result) for name, result in (event.data.get("results") or {}).items()}
    commit = Commit(sha=release.commit, link=commit_page(repository, release.commit)) if release.commit else None
    return Deployed(
        version=release.version,
        digest=release.digest,
        image=release.image,
        commit=commit,
        commits=_commits(texts.get(COMMITS), repository),
        findings=_findings(texts.get(REPORT)),
        sboms=sorted(it for it in attached if "sbom" in it.lower()),
        checks=checks,
    )


def _commits(text: str | None, repository: str | None) -> list[Commit] | None:
    try:
        found = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list):
        return None
    known = [it for it in found if isinstance(it, dict) and isinstance(it.get("sha"), str)]
    return [
        Commit(sha=it["sha"], authored_at=_moment(it.get("authored_at")), link=commit_page(repository, it["sha"]))
        for it in known[:MOST_COMMITS]
    ]


def _moment(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None
    except ValueError:
        return None


def _findings(text: str | None) -> Findings | None:
    """The report in numbers; None where there is none, or a damaged one."""
    try:
        run = json.loads(text)["runs"][0] if text else None
        if run is None:
            return None
        counts = {"blocks": 0, "excepted": 0, "passes": 0, "unknown": 0}
        states = {"new": 0, "absent": 0, "unchanged": 0}
        for it in run["results"]:
            state = it.get("baselineState")
            if state in states:
                states[state] += 1
            if state != "absent":
                gate = it.get("properties", {}).get("gate", "excepted" if it.get("suppressions") else "passes")
                counts[gate] = counts.get(gate, 0) + 1
        compared = any(states.values())
        notes = run["invocations"][0].get("toolExecutionNotifications", [])
        return Findings(
            blocking=counts["blocks"],
            excepted=counts["excepted"],
            passing=counts["passes"],
            undecided=counts["unknown"],
            new=states["new"] if compared else None,
            fixed=states["absent"] if compared else None,
            not_looked_at=[str(it["message"]["text"]) for it in notes],
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return None
