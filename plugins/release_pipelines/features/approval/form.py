"""The text of the approval form (R10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from release_pipelines.core.approvers import in_words
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.person import Asked, Person
from release_pipelines.core.templates import NOT_CHECKED

if TYPE_CHECKING:
    from release_pipelines.core.model.records import Evidence, Release
    from release_pipelines.core.model.train import TrainApp
    from release_pipelines.spec.trains import TrainSpec

SHOWN_RELEASES = 3
"""So many earlier releases of the same digest are shown."""


@dataclass(frozen=True)
class Known:
    """What the history knows of the digest.

    :param past: earlier releases of it that have ended, newest first.
    :param evidence: what checks found in them, by the checks' names.
    :param hurried: who has asked to skip all holds, and why.
    """

    past: Sequence[Release] = ()
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    hurried: str | None = None


def approval_form(
    artifact: Artifact,
    environment: str,
    before: Mapping[str, str | None],
    evidence: Mapping[str, str | None],
    *,
    plan: str,
    way_back: str,
    requester: str | None,
    notes: str,
    facts: Mapping[str, str | None] | None = None,
    known: Known | None = None,
    time_zone: str = "UTC",
) -> str:
    """The form's text in Markdown. Evidence that does not exist is shown as "not checked".

    :param before: ``version``, ``digest`` and ``commit`` that serve now.
    :param evidence: names of checks to their results.
    :param plan: how the traffic moves, in a sentence.
    :param facts: what is told beside the checks.
    :param known: what the history knows of the digest.
    :param time_zone: of the times.
    """
    was, commit = before.get("version") or "nothing", artifact.commit or NOT_CHECKED
    commit_before = before.get("commit") or (NOT_CHECKED if before.get("version") else "none")
    known = known or Known()
    results = {name: _result(name, result, known, time_zone) for name, result in evidence.items()}
    lines = [
        f"**{requester or 'Somebody'}** asks to release **{artifact.app} {artifact.version}** to **{environment}**, where "
        f"**{was}** serves now.",
        "",
        "| | now | after |",
        "| --- | --- | --- |",
        f"| Version | {was} | {artifact.version} |",
        f"| Commit | `{commit_before}` | `{commit}` |",
        "",
        "**Digest** now, and after:",  # not in the table, whose cells are cut off
        "",
        f"- `{before.get('digest') or 'none'}`",
        f"- `{artifact.digest}`",
        "",
        *_past(known.past, time_zone),
        *_table({**results, **(facts or {})}),
        f"**How:** {plan}",
        "",
        *_hurried(known.hurried),
        f"**Way back:** {way_back}.",
    ]
    if notes:
        lines += ["", f"**Notes:** {notes}"]
    return "\n".join(lines)


def train_form(
    train: TrainSpec,
    apps: Sequence[TrainApp],
    known: Mapping[str, Known],
    approve: Mapping[str, str],
    commits: Mapping[str, tuple[str | None, str | None]],
    *,
    requester: str | None,
    notes: str,
) -> str:
    """The form of a whole train in Markdown: what changes in every app.

    :param apps: all of them, also those that are left out.
    :param known: what the history knows of the digests, by the apps' names.
    :param approve: who may approve each app, in words.
    :param commits: of what runs now and of what is released, by the apps' names.
    """
    lines = [
        f"**{requester or 'Somebody'}** asks to release train **{train.name}**.",
        "",
        "| Wave | App | now | after | Approvers |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {it.wave} | {it.app} | {it.before_version or 'nothing'} | {it.version if it.goes else _cell(it.sentence)} | "
        f"{approve.get(it.app, '-')} |"
        for it in apps
    ]
    for it in (app for app in apps if app.goes):
        found = known.get(it.app) or Known()
        lines += ["", f"**{it.named}** in {it.environment}, digest now, and after:", ""]
        lines += [f"- `{it.before_digest or 'none'}`", f"- `{it.digest}`", ""]
        now, after = commits.get(it.app, (None, None))
        lines += [f"Commit now, and after: `{now or NOT_CHECKED}`, `{after or NOT_CHECKED}`", ""]
        lines += _past(found.past, train.time_zone)
        lines += _table({name: _result(name, None, found, train.time_zone) for name in found.evidence})
    back = {
        "all": "all that it released goes back",
        "wave": "what it released in that wave goes back",
        "none": "nothing goes back",
    }
    lines += ["", f"**Way back:** if the train stops, {back[train.compensate]}."]
    lines += [
        "",
        "Your answer counts for the apps whose approver you are; the others ask for an approval of their own.",
    ]
    return "\n".join([*lines, *(["", f"**Notes:** {notes}"] if notes else [])])


def who_may_answer(allowed: Sequence[str | Person], until: str, asked: Asked, *, alone: bool, by_airflow: bool) -> str:
    """Who may answer until when, and who cannot.

    :param until: in words.
    :param alone: whether who asked may answer, too.
    :param by_airflow: whether Airflow itself refuses everybody else.
    """
    lines = [f"**Who may answer:** {in_words(allowed)}, until {until}. No answer by then is a no."]
    if not alone:
        who = " and ".join(it for it in asked if it)
        lines += [f"It holds for this digest only; {who or 'whoever started the release'} cannot give it."]
    if allowed and not by_airflow:
        lines += ["An answer of anybody else does not count: the form opens again."]
    return " ".join(lines)


def moment(at: float, time_zone: str) -> str:
    """A Unix time in seconds in a time zone, like ``2026-11-26 16:30 (Europe/Berlin)``."""
    return f"{datetime.fromtimestamp(at, ZoneInfo(time_zone)):%Y-%m-%d %H:%M} ({time_zone})"


def _result(name: str, result: str | None, known: Known, time_zone: str) -> str | None:
    """A check's result, or what it found when this digest was released before."""
    before = known.evidence.get(name)
    if before is None or _cell(result) != NOT_CHECKED:
        return result
    return f"{before.result} (of this digest, {moment(before.at, time_zone)}, in `{before.release}`)"


def _past(past: Sequence[Release], time_zone: str) -> list[str]:
    """What became of this digest before."""
    if not past:
        return []
    lines = ["**This digest was released before:**", ""]
    for it in past[:SHOWN_RELEASES]:
        outcome = (it.outcome or "").replace("_", " ")
        sentence = _cell(it.sentence)
        lines.append(f"- {moment(it.ended_at or it.started_at, time_zone)}, {it.version}: **{outcome}**. {sentence}")
    if len(past) > SHOWN_RELEASES:
        lines.append(f"- and {len(past) - SHOWN_RELEASES} times earlier")
    return [*lines, ""]


def _table(results: Mapping[str, str | None]) -> list[str]:
    rows = [f"| {name} | {_cell(result)} |" for name, result in results.items()]
    return ["| Check | Result |", "| --- | --- |", *rows, ""] if rows else []


def _hurried(who: str | None) -> list[str]:
    if who is None:
        return []
    return [
        f"**Nothing of it will be measured:** every hold is skipped, by the command `promote` ({who}).",
        "",
    ]


def _cell(result: str | None) -> str:
    words = (result or "").strip()
    if words in ("", "None", "null"):
        return NOT_CHECKED
    return words.replace("|", "\\|").replace("\n", "<br>")
