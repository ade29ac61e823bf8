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
        print(f"{detail.app} {detail.version} has no findings that were judged together.")
    elif as_json:
        print(report)
    else:
        run = json.loads(report)["runs"][0]
        for note in run["invocations"][0]["toolExecutionNotifications"]:
            print(note["message"]["text"])
        rows = [_row(it) for it in run["results"]]
        print_table(("severity", "finding", "state", "excepted", "what"), rows) if rows else print("Nothing was found.")


def _row(result: dict[str, Any]) -> list[str]:
    excepted = "; ".join(it["justification"] for it in result.get("suppressions", []))
    state = STANDS.get(result.get("baselineState", ""), "")
    return [result["properties"]["severity"], result["ruleId"], state, excepted, result["message"]["text"]]
