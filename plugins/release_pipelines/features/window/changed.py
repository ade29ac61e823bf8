"""What has changed since a release was approved, so that it has to be approved again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.core.approvers import is_one_of
from release_pipelines.core.model.person import Identity

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.core.model.artifact import Artifact
    from release_pipelines.core.model.person import Person
    from release_pipelines.core.model.records import Approval
    from release_pipelines.core.model.target import Target


def changed_since(
    approval: Approval,
    artifact: Artifact,
    target: Target,
    preflight: Any,
    approvers: Sequence[str | Person],
    history: History,
) -> str | None:
    """Why an approval does not hold for what would be released now, in a sentence without its full stop; None: it does.

    :param preflight: what preflight returned, or its JSON: what ran on stable then.
    :param approvers: who could approve then; who may now, the environment's file says as it is written now.
    """
    from release_pipelines.spec.frozen import last_valid

    now = last_valid(artifact.app)
    if now is not None and approval.by:
        may = [*now.production.approvers, *(now.production.part("urgent_approvers", list) or [])]
        if no_longer(approval.by, approvers, may):
            return f"{approval.by}, who approved it, is no approver of {target.environment} any more"
    registry = RegistryHook(target.registry_connection)
    if registry.digest_of(artifact.image, artifact.digest) != artifact.digest:
        return f"the registry does not have {artifact.reference} any more"
    before = (json.loads(preflight) if isinstance(preflight, str) else preflight or {}).get("before") or {}
    stable = PlatformHook(target).call(lambda platform: platform.observe(target)).track("stable")
    if before.get("digest") and stable.digest != before["digest"]:
        ran = before.get("version") or before["digest"]
        return f"stable runs {stable.named} now, and ran {ran} when it was asked for"
    for it in history.stability(artifact.app):
        for mark in it.marks if it.digest == artifact.digest else []:
            if mark.at > approval.at and mark.lifted_at is None:
                where = mark.environment or "an environment"
                return f"since its approval {artifact.version} went back in {where}: {mark.sentence.rstrip('.')}"
    known = _found_by(history, approval.release_id)
    for name, found in history.evidence_of(artifact.app, artifact.digest, approval.release_id).items():
        if found.at > approval.at and found.result != known.get(name):
            return f"since its approval {name} found: {found.result.rstrip('.')}"
    return None


def no_longer(by: str, before: Sequence[str | Person], now: Sequence[str | Person]) -> bool:
    """Whether somebody could approve, and may not any more.

    History keeps one name of whoever approved. Where the file knows that person by another one, it counts whether anybody was removed.
    """
    who = Identity(by, by)
    if not now or is_one_of(now, who):
        return False
    return is_one_of(before, who) or any(it not in now for it in before)


def _found_by(history: History, release: str) -> dict[str, str]:
    """What the release's own checks found, which its approver has seen."""
    found: dict[str, str] = {}
    for event in history.release(release).events:
        if event.kind == "evidence" and event.data:
            found.update(event.data.get("results") or {})
    return found
