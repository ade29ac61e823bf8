"""What an approver is shown (R10)."""

from __future__ import annotations

from collections.abc import Mapping

from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.hold import Hold
from release_pipelines.core.model.stage import Question, Stage, StageKind
from release_pipelines.core.sentences import limits
from release_pipelines.core.strategies.stages import stages
from release_pipelines.spec.release import ReleaseSpec

NOT_CHECKED = "not checked"


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
) -> str:
    """The form's text in Markdown. Evidence that does not exist is shown as "not checked".

    :param before: ``version``, ``digest`` and ``commit`` that serve now.
    :param evidence: names of checks to their results.
    :param plan: how the traffic moves, in a sentence.
    """
    was, commit = before.get("version") or "nothing", artifact.commit or NOT_CHECKED
    lines = [
        f"**{requester or 'Somebody'}** asks to release **{artifact.app} {artifact.version}** to **{environment}**, where "
        f"**{was}** serves now.",
        "",
        "| | now | after |",
        "| --- | --- | --- |",
        f"| Version | {was} | {artifact.version} |",
        f"| Digest | `{before.get('digest') or 'none'}` | `{artifact.digest}` |",
        f"| Commit | `{before.get('commit') or NOT_CHECKED}` | `{commit}` |",
        "",
        "| Check | Result |",
        "| --- | --- |",
        *(f"| {name} | {_cell(result)} |" for name, result in evidence.items()),
        "",
        f"**How:** {plan}",
        "",
        f"**Way back:** {way_back}.",
    ]
    if notes:
        lines += ["", f"**Notes:** {notes}"]
    lines += ["", "The approval holds for this digest only, and whoever started the release cannot give it."]
    return "\n".join(lines)


def plan_in_words(spec: ReleaseSpec) -> str:
    """How the traffic will move, in a sentence."""
    words = " → ".join(_stage(it) for it in stages(spec))
    strategy = "blue-green" if spec.app.strategy.blue_green else "rolling" if spec.app.strategy.rolling else "canary"
    return f"{strategy}: {words}, then it is promoted; back at once unless {limits(spec.analysis)}."


def _stage(stage: StageKind) -> str:
    if isinstance(stage, Stage):
        return f"{_share(stage)} for {_hold(stage.hold)}"
    return "a person says yes" if isinstance(stage, Question) else f"`{' '.join(stage.verify.command)}` passes"


def _share(stage: Stage) -> str:
    if stage.traffic is None:
        return f"{stage.share} % of the replicas"
    if stage.traffic.testers:
        return f"testers ({stage.traffic.testers.name}: {stage.traffic.testers.value})"
    return f"a copy of {stage.traffic.mirror} %" if stage.traffic.mirror else f"{stage.weight} %"


def _hold(hold: Hold) -> str:
    return f"{hold.min:g} s" if hold.min == hold.max else f"{hold.min:g} to {hold.max:g} s"


def _cell(result: str | None) -> str:
    words = (result or "").strip()
    if words in ("", "None", "null"):
        return NOT_CHECKED
    return words.replace("|", "\\|").replace("\n", "<br>")
