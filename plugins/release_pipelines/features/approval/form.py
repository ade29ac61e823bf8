"""The text of the approval form (R10)."""

from __future__ import annotations

from collections.abc import Mapping

from release_pipelines.core.model.artifact import Artifact

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


def _cell(result: str | None) -> str:
    words = (result or "").strip()
    if words in ("", "None", "null"):
        return NOT_CHECKED
    return words.replace("|", "\\|").replace("\n", "<br>")
