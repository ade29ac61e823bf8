"""``release findings``: what scanners found in a release, as it was judged."""

from __future__ import annotations

import json
from typing import Any

from release_pipelines.cli.known import found
from release_pipelines.cli.terminal import (
    AsJson,
    Database,
    OfVersion,
    Which,
    errors_as_sentences,
    fail,
    open_history_at,
    print_table,
)
from release_pipelines.core.sarif import REPORT

STANDS = {"new": "new", "unchanged": "not new", "absent": "fixed"}
"""States of results, in words."""


def findings(release: Which, version: OfVersion = None, as_json: AsJson = False, database: Database = None) -> None:
    """List what scanners found in a release, the worst first: what blocks, what is excepted, what is new and what was fixed. --json prints it as SARIF."""
    with errors_as_sentences():
        history = open_history_at(database)
        detail = found(history, release, version)
        report = next((it.content for it in history.attachments(detail.id) if it.name == REPORT), None)
    if report is None:
        sentence = f"{detail.app} {detail.version} has no findings that were judged together."
        if as_json:
            fail(sentence)
        print(sentence)
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
