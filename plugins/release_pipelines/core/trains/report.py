"""The report of a train, in Markdown: every app, what it ran, what it runs, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from release_pipelines.core.model.train import IN_WORDS, TrainApp

if TYPE_CHECKING:
    from release_pipelines.core.model.records import ReleaseDetail

TRAIN_REPORT = "train.md"
"""What the report is called among a train's attachments."""


def train_report(name: str, detail: ReleaseDetail, apps: Sequence[TrainApp]) -> str:
    """What became of a train.

    :param name: the train.
    :param detail: its own row in the history, with its events.
    :param apps: its apps.
    """
    lines = [f"# Train {name}: {(detail.outcome or 'running').replace('_', ' ')}", "", detail.sentence or "", ""]
    people = {"Asked by": detail.requester, "Started by": detail.started_by, "Approved by": detail.approver}
    lines += [f"- {what}: {who}" for what, who in people.items() if who]
    lines += [
        "",
        "| wave | app | before | train | what became of it | approved by |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {it.wave} | {it.app} | {it.before_version or 'nothing'} | {it.version or '-'} | **{IN_WORDS[it.result]}**"
        f"{f': {_cell(it.sentence)}' if it.sentence else ''} | {it.approver or it.approver_id or '-'} |"
        for it in apps
    ]
    digests = [it for it in apps if it.digest]
    if digests:
        lines += ["", "## Digests", ""]
        lines += [f"- {it.named}: `{it.digest}`, before `{it.before_digest or 'none'}`" for it in digests]
    if steps := what_to_do(apps):
        lines += ["", "## What to do now", "", *(f"{n}. {step}" for n, step in enumerate(steps, 1))]
    return "\n".join(lines) + "\n"


def what_to_do(apps: Sequence[TrainApp]) -> list[str]:
    """What a person does about the apps that are not where they should be, in Markdown."""
    return [
        f"**{it.app}** in {it.environment} failed to go back to {it.before_version or 'what it ran'}: {it.sentence.rstrip('.')}. Look at what "
        f'serves, then run the DAG `release_rollback` with `{{"app": "{it.app}", "version": "{it.before_version or ""}", "reason": "…"}}`.'
        for it in apps
        if it.result == "not_taken_back"
    ]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
