"""The evidence of a release, put together from what the history keeps of it, and the policies asked about it."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from release_pipelines.airflow.findings import kept_results
from release_pipelines.core.model.evidence import PARTS
from release_pipelines.core.model.policy import PolicyWaiver, Ruling
from release_pipelines.core.policies.kept import REPORT, excepted_in, sbom_in, signatures_in, why_excepted

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.core.model.artifact import Artifact
    from release_pipelines.core.model.finding import ScanResult
    from release_pipelines.core.model.records import Attachment

BEGINNING, ENDING = "evidence-", ".json"
ATTESTED = "attested"
"""Kind of the events that say by which keys an image was verified."""
OF_THE_DIGEST = frozenset(PARTS) - {"findings", "facts"}
"""Parts that stay true of a digest, and are looked for in its earlier releases, too."""


@dataclass(frozen=True)
class Setting:
    """What the files say of the release that policies are asked about."""

    environment: str
    strategy: str
    tags: list[str]
    calendars: list[str]


def keep_part(history: History, release: str, part: str, value: Any) -> None:
    """Keep a part of a release's evidence; what was kept of it before is replaced.

    :param part: one of :data:`~release_pipelines.core.model.evidence.PARTS`.
    :param value: what :class:`~release_pipelines.core.model.evidence.ReleaseEvidence` says of it, as plain JSON.
    """
    if part not in PARTS:
        raise ValueError(f"A part of the evidence is one of {', '.join(PARTS)}, found {part!r}.")
    history.attach(release, f"{BEGINNING}{part}{ENDING}", "application/json", json.dumps(value))


def collected(
    history: History,
    release: str,
    artifact: Artifact,
    setting: Setting,
    preflight: Mapping[str, Any],
    tests: Mapping[str, str],
    now: float | None = None,
) -> dict[str, Any]:
    """The evidence document of a release.

    :param preflight: what preflight found: who asked, what serves, why it is urgent.
    :param tests: results of checks, by their names; those of earlier releases of the digest stand beside them.
    :param now: Unix time in seconds.
    """
    now = time.time() if now is None else now
    earlier = [it.id for it in history.past_of(artifact.app, artifact.digest, release)]
    past = {name: it.result for name, it in history.evidence_of(artifact.app, artifact.digest, release).items()}
    results = _results(history, [release, *earlier])
    kept = {it.name: it.content for it in history.attachments(release)}
    before = preflight.get("before") or {}
    answer = history.approval(release)
    document: dict[str, Any] = {
        "at": now,
        "app": artifact.app,
        "version": artifact.version,
        "environment": setting.environment,
        "image": artifact.image,
        "digest": artifact.digest,
        "strategy": setting.strategy,
        "tags": setting.tags,
        "calendars": setting.calendars,
        "requester": preflight.get("requester") or None,
        "urgent": preflight.get("urgent_reason") or None,
        "serving": {key: before.get(key) for key in ("version", "digest", "commit")} if before.get("digest") else None,
        "commit": artifact.commit,
        "tests": {**past, **tests} or None,
        "scans": {name: _scan(its, now) for name, its in results.items()} or None,
        "findings": _findings(results, kept),
        "sbom": sbom_in(kept),
        "signatures": signatures_in(
            (it.data or {} for it in history.release(release).events if it.kind == ATTESTED), artifact.digest
        ),
        **_parts(history, release, earlier),
    }
    if "builder" not in document and (provenance := document.get("provenance")):
        document["builder"] = {"id": provenance.get("builder")}
    if answer and answer.decision == "approved" and answer.by:
        document["approval"] = {"by": answer.by, "at": answer.at, "note": answer.note}
    return {key: it for key, it in document.items() if it is not None or key in ("requester", "urgent", "serving")}


def _parts(history: History, release: str, earlier: Sequence[str]) -> dict[str, Any]:
    """The parts that are kept with a release, or with the newest earlier release of its digest."""
    found = dict(_kept(history.attachments(release)))
    for other in earlier:
        if found.keys() >= OF_THE_DIGEST:
            break
        kept = _kept(history.attachments(other))
        found = {**{name: it for name, it in kept.items() if name in OF_THE_DIGEST}, **found}
    return found


def _kept(attachments: Sequence[Attachment]) -> dict[str, Any]:
    named = {
        it.name.removeprefix(BEGINNING).removesuffix(ENDING): it for it in attachments if it.name.startswith(BEGINNING)
    }
    return {name: json.loads(it.content) for name, it in named.items() if name in PARTS}


def _results(history: History, releases: Sequence[str]) -> dict[str, list[ScanResult]]:
    """What each scanner found last: the source is not scanned again for a digest that is recorded."""
    found: dict[str, list[ScanResult]] = {}
    for it in releases:
        found = {**kept_results(history, it), **found}
    return found


def _scan(results: Sequence[ScanResult], now: float) -> dict[str, Any]:
    severities = [finding.severity for it in results for finding in it.findings]
    ages = [now - it.data_at for it in results if it.data_at is not None]
    stated = {it.status for it in results}
    return {
        "status": "unknown" if "unknown" in stated or not stated else "findings" if "findings" in stated else "clean",
        "counts": {name: severities.count(name) for name in ("unknown", "low", "medium", "high", "critical")},
        "data_age": max(ages) if ages else None,
        "subjects": [it.subject for it in results if it.subject],
        "sentence": " ".join(it.sentence for it in results),
    }


def _findings(results: Mapping[str, Sequence[ScanResult]], kept: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """All findings, and why some do not count; None where no scanner has looked."""
    if not results:
        return None
    excepted = excepted_in(kept[REPORT]) if REPORT in kept else []
    keys = ("kind", "severity", "rule", "aliases", "component", "fixed_in", "platform", "file", "text")
    return [
        {"scanner": name, **{key: getattr(it, key) for key in keys}, "excepted": why_excepted(it, excepted)}
        for name, found in results.items()
        for one in found
        for it in one.findings
    ]


def asked_about(
    document: dict[str, Any],
    names: Sequence[str],
    *,
    folder: Path | None = None,
    later: Collection[str] = (),
    waivers: Sequence[PolicyWaiver] = (),
    time_zone: str = "UTC",
    seconds: float | None = None,
) -> Ruling:
    """What policies say of a document, as they are written now.

    :param names: of the policies.
    :param folder: where they are; default: that of the project.
    :param later: parts of the evidence that are known later: what needs them is asked then.
    :param waivers: of the environment.
    :param time_zone: in which their last days end.
    :param seconds: time that one evaluation may take; default: 30.
    """
    from release_pipelines.adapters.policies.rego import SECONDS, Rego
    from release_pipelines.core.policies.asking import rule_on
    from release_pipelines.spec.policies import policies_here

    policies, library = policies_here(names, folder)
    today = datetime.now(ZoneInfo(time_zone)).date()
    return rule_on(Rego(seconds or SECONDS), policies, library, document, later=later, waivers=waivers, today=today)
