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
    """
    if approval.by and not is_one_of(approvers, Identity(approval.by, approval.by)):
        return f"{approval.by}, who approved it, is no approver of {target.environment} any more"
    registry = RegistryHook(target.registry_connection)
    if registry.digest_of(artifact.image, artifact.digest) != artifact.digest:
        return f"the registry does not have {artifact.reference} any more"
    before = (json.loads(preflight) if isinstance(preflight, str) else preflight or {}).get("before") or {}
    stable = PlatformHook(target).call(lambda platform: platform.observe(target)).track("stable")
    if before.get("digest") and stable.digest != before["digest"]:
        return (
            f"stable runs {stable.named} now, and ran {before.get('version') or before['digest']} when it was asked for"
        )
    for it in history.stability(artifact.app):
        for mark in it.marks if it.digest == artifact.digest else []:
            if mark.at > approval.at and mark.lifted_at is None:
                return f"since its approval {artifact.version} went back in {mark.environment or 'an environment'}: {mark.sentence.rstrip('.')}"
    for name, found in history.evidence_of(artifact.app, artifact.digest, approval.release_id).items():
        if found.at > approval.at:
            return f"since its approval {name} found: {found.result.rstrip('.')}"
    return None
