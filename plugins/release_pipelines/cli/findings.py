"""``release findings``: what scanners found in a release, as it was judged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from release_pipelines.cli.known import found
from release_pipelines.cli.terminal import (
    AsJson,
    Database,
    OfVersion,
    Which,
    errors_as_sentences,
    fail,
    open_history_at,
    print_json,
    print_table,
)
from release_pipelines.core.model.finding import badness
from release_pipelines.core.sarif import REPORT

if TYPE_CHECKING:
    from release_pipelines.core.model.finding import Finding
    from release_pipelines.core.model.records import Attachment

STANDS = {"new": "new", "unchanged": "not new", "absent": "fixed"}
"""States of results, in words."""


def findings(release: Which, version: OfVersion = None, as_json: AsJson = False, database: Database = None) -> None:
    """List what scanners found in a release, the worst first: what blocks, what is excepted, what is new and what was fixed. --json prints it as SARIF."""
    with errors_as_sentences():
        history = open_history_at(database)
        detail = found(history, release, version)
        texts = history.attachments(detail.id)
        report = next((it.content for it in texts if it.name == REPORT), None)
    if report is None:
        _not_judged(f"{detail.app} {detail.version}", texts, as_json)
        return
    try:
        notes, rows = _read(report)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        fail(f"The findings of {detail.app} {detail.version} cannot be read: its text {REPORT} is damaged.")
    if as_json:
        print(report)
        return
    for note in notes:
        print(note)
    if rows:
        print_table(("gate", "severity", "finding", "state", "excepted", "what"), rows)
    else:
        print("Nothing was found.")


def _not_judged(what: str, texts: list[Attachment], as_json: bool) -> None:
    """What each scanner said, where the release ended before all of it was judged together."""
    from release_pipelines.core.findings.kept import results_in

    sentence = f"{what} has no findings that were judged together."
    try:
        results = results_in(texts)
    except ValueError:
        fail(f"{sentence} What its scanners found cannot be read: a text is damaged.")
    if as_json and not results:
        fail(sentence)
    if as_json:
        told = {name: [it.model_dump(mode="json") for it in found] for name, found in results.items()}
        print_json({"judged": False, "scanners": told})
        return
    print(f"{sentence}{' This is what its scanners said:' if results else ''}")
    for name, found_by in results.items():
        for it in found_by:
            print(f"{name}: {it.status}. {it.sentence}")
            for part in it.not_looked_at:
                print(f"  not looked at: {part}")
    rows = [
        [it.severity, it.rule, name, _where(it)]
        for name, found_by in results.items()
        for result in found_by
        for it in sorted(result.findings, key=badness, reverse=True)
    ]
    if rows:
        print_table(("severity", "finding", "scanner", "what"), rows)


def _where(finding: Finding) -> str:
    place = finding.component or (f"{finding.file}:{finding.line}" if finding.line else finding.file)
    return f"{place}: {finding.text}" if place else str(finding.text)


def _read(report: str) -> tuple[list[str], list[list[str]]]:
    """What could not be looked at, and a row for each finding."""
    run = json.loads(report)["runs"][0]
    notes = [note["message"]["text"] for note in run["invocations"][0]["toolExecutionNotifications"]]
    rows = [_row(it) for it in run["results"]]
    if not all(isinstance(it, str) for it in [*notes, *(cell for row in rows for cell in row)]):
        raise TypeError("texts are expected")
    return notes, rows


def _row(result: dict[str, Any]) -> list[str]:
    excepted = "; ".join(it["justification"] for it in result.get("suppressions", []))
    state = STANDS.get(result.get("baselineState", ""), "")
    gate = result["properties"].get("gate", "excepted" if excepted else "")  # reports of before do not say it
    return [gate, result["properties"]["severity"], result["ruleId"], state, excepted, result["message"]["text"]]
