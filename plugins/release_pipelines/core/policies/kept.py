"""Parts of the evidence in what others keep with a release: its report of findings, its SBOMs, what was verified about its image."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from release_pipelines.core.model.finding import Finding

REPORT = "findings.sarif"
"""The report of all findings, with what was let pass."""
SBOMS = {".cdx.json": ("cyclonedx", "components"), ".spdx.json": ("spdx", "packages")}


class Excepted(NamedTuple):
    """A finding that was let pass."""

    names: frozenset[str]
    component: str | None
    file: str
    why: str


def excepted_in(report: str) -> list[Excepted]:
    """What a report of findings has as suppressed, and why."""
    found = []
    for run in json.loads(report).get("runs", []):
        for it in run.get("results", []):
            if suppressions := it.get("suppressions"):
                told = it.get("properties", {})
                names = frozenset([it.get("ruleId", ""), *told.get("names", [])])
                why = "; ".join(one.get("justification", "") for one in suppressions)
                found.append(Excepted(names, told.get("component"), _file(it), why))
    return found


def why_excepted(finding: Finding, excepted: Iterable[Excepted]) -> str | None:
    """Why a finding does not count: one of its names was let pass in exactly its component, or its file; None: it counts."""
    names = {finding.rule, *finding.aliases}
    for it in excepted:
        same = finding.component == it.component if finding.component else finding.file == it.file and not it.component
        if names & it.names and same:
            return it.why
    return None


def sbom_in(texts: Mapping[str, str]) -> dict[str, Any] | None:
    """The SBOM of a release, over all platforms; None where it has none.

    :param texts: names of what is kept with the release to contents.
    """
    for ending, (kind, listed) in SBOMS.items():
        documents = [json.loads(it) for name, it in texts.items() if name.startswith("sbom") and name.endswith(ending)]
        if documents:
            return {"format": kind, "components": sum(len(it.get(listed) or []) for it in documents)}
    return None


def signatures_in(data: Iterable[Mapping[str, Any]], digest: str) -> list[dict[str, Any]] | None:
    """The keys by which an image was verified; None where nobody has looked.

    :param data: of the events that say that an image was verified.
    """
    keys = [key for it in data if it.get("digest") == digest for key in it.get("keys") or []]
    return [{"by": key, "verified": True} for key in dict.fromkeys(keys)] or None


def _file(result: Mapping[str, Any]) -> str:
    for it in result.get("locations") or []:
        uri = it.get("physicalLocation", {}).get("artifactLocation", {}).get("uri")
        if uri:
            return unquote(uri)
    return ""
