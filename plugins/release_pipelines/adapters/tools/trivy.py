"""Trivy: how old its data are, and what its report says of what it looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from release_pipelines.adapters import tools
from release_pipelines.adapters.tools import Done, NotLooked, trouble_in
from release_pipelines.core.model.finding import Finding, Rating, Score
from release_pipelines.core.model.limits import Limits

PROGRAM = "trivy"
HINT = " (https://trivy.dev)"

TROUBLE = re.compile(r"\t(ERROR|FATAL)\t|\tWARN\t.*\b(failed to|unsupported os|too large|could not)\b", re.I)

RATINGS: dict[str, Rating] = {"LOW": "low", "MEDIUM": "medium", "HIGH": "high", "CRITICAL": "critical"}


def rating(word: object) -> Rating:
    """A severity of Trivy's; what it does not know is no mild one."""
    return RATINGS.get(str(word).upper(), "unknown")


def data_at(limits: Limits) -> float | None:
    """When its database was made, in seconds since 1970; None: it has none, which it says itself when it looks.

    :raises NotLooked: when it does not answer.
    """
    done = tools.run([PROGRAM, "version", "--format", "json", "--quiet"], Path("/"), limits)
    if done.code:
        raise NotLooked(done.ended())
    made = (tools.parsed(done.said).get("VulnerabilityDB") or {}).get("UpdatedAt")
    return tools.unix_time(made) if made else None


def results(report: Any, done: Done) -> list[Mapping[str, Any]]:
    """What it looked at.

    :raises NotLooked: when it says of something that it could not look at it.
    :raises ValueError: when it is no report of Trivy's.
    """
    trouble = trouble_in(done.errors, TROUBLE)
    if trouble:
        raise NotLooked(f"it said: {trouble.replace(chr(9), ' ')}")
    if not isinstance(report, dict) or "SchemaVersion" not in report:
        raise ValueError("SchemaVersion is expected")
    return report.get("Results") or []


def vulnerabilities(looked: list[Mapping[str, Any]]) -> list[Finding]:
    """The vulnerabilities of a report."""
    sources = {
        (it.get("Identifier") or {}).get("UID"): it.get("SrcName")
        for part in looked
        for it in part.get("Packages") or []
    }
    return [_vulnerability(it, part, sources) for part in looked for it in part.get("Vulnerabilities") or []]


def _vulnerability(it: Mapping[str, Any], part: Mapping[str, Any], sources: Mapping[Any, Any]) -> Finding:
    package = sources.get((it.get("PkgIdentifier") or {}).get("UID"))
    return Finding(
        kind="vulnerability",
        severity=rating(it.get("Severity")),
        rule=it["VulnerabilityID"],
        aliases=it.get("VendorIDs") or [],
        file=it.get("PkgPath") or part.get("Target") or "",
        text=f"{it['PkgName']} {it.get('InstalledVersion', '')}: {it.get('Title') or it['VulnerabilityID']}",
        component=(it.get("PkgIdentifier") or {}).get("PURL"),
        source=package if package != it["PkgName"] else None,
        fixed_in=it.get("FixedVersion") or None,
        scores=[
            Score(source=name, rating=_by_number(score), score=score, vector=cvss.get("V3Vector"))
            for name, cvss in (it.get("CVSS") or {}).items()
            if (score := cvss.get("V3Score")) is not None
        ],
    )


def misconfigurations(looked: list[Mapping[str, Any]]) -> list[Finding]:
    """What fails of the checks of configurations."""
    return [
        Finding(
            kind="misconfiguration",
            severity=rating(it.get("Severity")),
            rule=it.get("AVDID") or it["ID"],
            file=part["Target"],
            line=(it.get("CauseMetadata") or {}).get("StartLine") or 0,
            text=it.get("Message") or it["Title"],
        )
        for part in looked
        for it in part.get("Misconfigurations") or []
        if it.get("Status") == "FAIL"
    ]


def _by_number(score: float) -> Rating:
    """The severity of a CVSS score of version 3, as its specification has it."""
    return "critical" if score >= 9 else "high" if score >= 7 else "medium" if score >= 4 else "low"


def lacks(metadata: Mapping[str, Any], looked: list[Mapping[str, Any]]) -> str | None:
    """What of an image could not be looked at, in the end of a sentence; None: nothing."""
    system = metadata.get("OS") or {}
    named = f"{system.get('Family')} {system.get('Name')}" if system.get("Family") else None
    if system.get("EOSL"):
        return f"{named} gets no security updates"
    if named and not any(part.get("Packages") for part in looked if part.get("Class") == "os-pkgs"):
        return f"{named} has no list of its packages"
    if not any(part.get("Packages") or part.get("Vulnerabilities") for part in looked):
        return "nothing could be identified: neither a system nor packages of a language"
    return None
