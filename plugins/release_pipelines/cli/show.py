"""``release show`` in a terminal: one release, where it stands, and all of its records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release_pipelines.cli.remark import row as remark_row
from release_pipelines.cli.terminal import local, print_table
from release_pipelines.core.model.release_id import is_rollback
from release_pipelines.core.model.units import lasting
from release_pipelines.core.status.clock import live

if TYPE_CHECKING:
    from release_pipelines.core.model.command import Command
    from release_pipelines.core.model.records import ReleaseDetail
    from release_pipelines.core.status.model import ReleaseStatus


def print_detail(release: ReleaseDetail, status: ReleaseStatus) -> None:
    """Print a release with all of its records."""
    print(f"{release.app} {release.version}: {release.outcome or 'running'}")
    if release.sentence:
        print(release.sentence)
    facts = {
        "id": release.id,
        "image": f"{release.image}@{release.digest}" if release.digest else None,
        "commit": release.commit,
        "asked by": release.requester,
        "started by": release.started_by,
        "because" if is_rollback(release.id) else "urgent because": release.reason,
        "notes": release.notes,
        "started": local(release.started_at),
        "ended": local(release.ended_at),
        "direction": release.direction if release.direction == "backward" else None,
    }
    for name, value in facts.items():
        if value:
            print(f"  {name:<15}{value}")
    _print_now(release, status)
    for answer in release.approvals:
        decision = f"{answer.decision} by {answer.by}" if answer.by else answer.decision
        print(f"  {'approval':<15}{local(answer.at)} {decision}{f': {answer.note}' if answer.note else ''}")
    if release.verdicts:
        print("\nVerdicts")
        rows = [
            [local(it.decided_at), it.environment, it.step, f"{it.weight} %", it.judgement, it.sentence]
            for it in release.verdicts
        ]
        print_table(("decided", "environment", "step", "weight", "verdict", "why"), rows)
    if release.measurements:
        print("\nMeasurements")
        headings = ("at", "environment", "step", "metric", "value", "bad", "total", "stable", "error")
        rows = [
            [
                local(it.at), it.environment, it.step, it.metric, _number(it.value), _number(it.bad), _number(it.total),
                f"{_number(it.stable_bad)}/{_number(it.stable_total)}" if it.stable_total is not None else "",
                it.error or "",
            ]
            for it in release.measurements
        ]  # fmt: skip
        print_table(headings, rows)
    if release.commands:
        print("\nCommands")
        rows = [
            [local(it.at), it.by, it.kind, it.reason or "", _answer_time(it), it.effect or "not answered yet"]
            for it in release.commands
        ]
        print_table(("at", "by", "command", "reason", "answered", "what it did"), rows)
    if release.remarks:
        print("\nRemarks")
        print_table(("at", "by", "about", "remark"), [remark_row(it) for it in release.remarks])
    if release.events:
        print("\nEvents")
        rows = [[local(it.at), it.environment or "", it.kind, it.sentence] for it in release.events]
        print_table(("at", "environment", "kind", "what"), rows)


def _print_now(release: ReleaseDetail, status: ReleaseStatus) -> None:
    """Where it is, what it waits for, and the way back."""
    told = live(release)
    facts = {
        "now": f"{told.step} in {told.environment}: {told.traffic} ({told.weight} %)" if told else None,
        "tracks": _tracks(status),
        "evidence": told.evidence() if told else None,
        "time left": told.time_left(status.at) if told else None,
        "waits": None if told or release.outcome else f"{status.clock.sentence}{_until(status.clock.until)}",
        "seen": f"{_age(told.at, status.at)} ago" if told else None,
        "way back": status.way_back.sentence,
    }
    for name, value in facts.items():
        if value:
            print(f"  {name:<15}{value}")
    print("\nStages")
    rows = [
        [
            it.state,
            it.environment or "",
            it.name,
            "" if it.weight is None else f"{it.weight} %",
            it.sentence or it.words,
        ]
        for it in status.stages
    ]
    print_table(("state", "environment", "stage", "weight", "what"), rows)


def _tracks(status: ReleaseStatus) -> str | None:
    """Who has what, and when that was seen."""
    told = [
        f"{it.track} {'' if it.weight is None else f'{it.weight} %'}"
        f"{f', {it.ready} of {it.wanted} ready' if it.wanted or it.ready else ''}".strip()
        for it in status.tracks.tracks
    ]
    if not told or status.tracks.at is None:
        return None
    return f"{'; '.join(told)} (seen {_age(status.tracks.at, status.at)} ago)"


def _until(at: float | None) -> str:
    return f" Until {local(at)}." if at is not None else ""


def _age(at: float, now: float) -> str:
    return lasting(max(0.0, now - at))


def _answer_time(command: Command) -> str:
    """Time that a command waited for its answer, like ``after 1.2 s``."""
    return f"after {command.answered_at - command.at:.1f} s" if command.answered_at else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
