"""Payloads → pushes: of GitHub, GitLab, registries of the OCI distribution, Harbor, and Amazon ECR by EventBridge."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from release_pipelines.core.pushes.push import Ignored, Push
from release_pipelines.core.text import one_line

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
MOST = 1000
"""Maximum number of events that are read in one envelope."""


def read(headers: Mapping[str, str], body: bytes) -> list[Push | Ignored]:
    """What a delivery tells, each part by itself: one that cannot be read does not take the others along.

    :param headers: names in lower case.
    :raises ValueError: when the body is no JSON object, in a sentence.
    """
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("The body is no JSON: content type application/json is expected.") from None
    if not isinstance(payload, dict):
        raise ValueError("The body is no JSON object.")
    if event := headers.get("x-github-event"):
        return [_safely(github, event, payload)]
    if event := headers.get("x-gitlab-event"):
        return [_safely(gitlab, event, payload)]
    return registry(payload)


def registry(payload: Mapping[str, Any]) -> list[Push | Ignored]:
    """What a registry tells: an envelope of the OCI distribution, Harbor's event, or ECR's by EventBridge."""
    if isinstance(events := payload.get("events"), list):
        return [_safely(_distribution, it) for it in events[:MOST]]
    if isinstance(payload.get("event_data"), dict):
        return list(_harbor(payload))
    if payload.get("detail-type") == "ECR Image Action":
        return [_safely(_ecr, payload.get("detail"))]
    return [Ignored("what it tells is not known: an event of GitHub, GitLab or a registry is expected")]


def asset_event(extra: Any) -> Push | Ignored:
    """What an event of an asset tells that has ``version`` and ``digest``. Anybody may have written it."""
    version, digest = _text(extra, "version"), extra.get("digest") if isinstance(extra, dict) else None
    if version is None or not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        return Ignored("the event has no `version` with a `digest` like sha256:…")
    return Push(kind="image", source="asset", ref=version, digest=digest)


def messages(extra: Any) -> Iterator[Push | Ignored]:
    """What an event of an asset tells that a registry's event came to: as it is, as a message's text, or as several of a queue."""
    payload = extra.get("payload", extra) if isinstance(extra, dict) else extra
    batch = payload.get("message_batch") if isinstance(payload, dict) else None
    for it in batch[:MOST] if isinstance(batch, list) else [payload]:
        body = it.get("Body", it) if isinstance(it, dict) else it
        try:
            event = json.loads(body) if isinstance(body, str) else body
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict):
            yield from registry(event)
        else:
            yield Ignored("a message is no JSON object")


def github(event: str, payload: Mapping[str, Any]) -> Push | Ignored:
    """GitHub's event ``push``, of branches and tags."""
    if event != "push":
        return Ignored(f"{_word(event)} is no push")
    head = payload.get("head_commit")
    if payload.get("deleted") or _is_nothing(payload.get("after")) or not head:
        return Ignored(f"{_word(payload.get('ref'))} was deleted")
    commits = payload.get("commits")
    return _ref(
        "github",
        payload["ref"],
        head["id"],
        repository=_text(payload.get("repository"), "full_name"),
        by=_text(payload.get("sender"), "login") or _text(payload.get("pusher"), "name"),
        files=_files(commits, len(commits) if isinstance(commits, list) and len(commits) < 2048 else None),
    )


def gitlab(event: str, payload: Mapping[str, Any]) -> Push | Ignored:
    """GitLab's push and tag push events."""
    if payload.get("object_kind") not in ("push", "tag_push"):
        return Ignored(f"{_word(event)} is no push")
    commit = payload.get("checkout_sha")
    if _is_nothing(payload.get("after")) or not commit:
        return Ignored(f"{_word(payload.get('ref'))} was deleted")
    return _ref(
        "gitlab",
        payload["ref"],
        commit,
        repository=_text(payload.get("project"), "path_with_namespace"),
        by=_text(payload, "user_username"),
        files=_files(payload.get("commits"), payload.get("total_commits_count")),
    )


def _ref(
    source: str, ref: str, commit: str, *, repository: str | None, by: str | None, files: list[str] | None
) -> Push | Ignored:
    if not COMMIT.fullmatch(commit):
        return Ignored(f"{_word(commit)} is no commit")
    common: dict[str, Any] = {"source": source, "repository": repository or "", "commit": commit, "by": by}
    if ref.startswith("refs/heads/"):
        return Push(kind="branch", ref=ref.removeprefix("refs/heads/"), files=files, **common)
    if ref.startswith("refs/tags/"):
        return Push(kind="tag", ref=ref.removeprefix("refs/tags/"), **common)
    return Ignored(f"{_word(ref)} is neither a branch nor a tag")


def _distribution(event: Mapping[str, Any]) -> Push | Ignored:
    action, target = event.get("action"), event["target"]
    name = _word(target.get("repository"))
    if action != "push":
        return Ignored(f"{name}: {_word(action)} is no push")
    return _image(name, target.get("tag"), target.get("digest"), _text(event.get("actor"), "name"))


def _harbor(payload: Mapping[str, Any]) -> Iterator[Push | Ignored]:
    data = payload["event_data"]
    if payload.get("type") != "PUSH_ARTIFACT":
        yield Ignored(f"{_word(payload.get('type'))} is no push")
        return
    resources = data.get("resources")
    for it in resources[:MOST] if isinstance(resources, list) else []:
        yield _safely(_harbor_resource, data.get("repository"), it, _text(payload, "operator"))


def _harbor_resource(repository: Mapping[str, Any], resource: Mapping[str, Any], by: str | None) -> Push | Ignored:
    return _image(_word(repository["repo_full_name"]), resource.get("tag"), resource.get("digest"), by)


def _ecr(detail: Mapping[str, Any]) -> Push | Ignored:
    name = _word(detail["repository-name"])
    if detail.get("action-type") != "PUSH" or detail.get("result") != "SUCCESS":
        return Ignored(f"{name}: {_word(detail.get('action-type'))} is no push that succeeded")
    return _image(name, detail.get("image-tag"), detail.get("image-digest"), None)


def _image(name: str, tag: Any, digest: Any, by: str | None) -> Push | Ignored:
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        return Ignored(f"{name}: {_word(digest)} is no digest")
    if not isinstance(tag, str) or not tag or ":" in tag:  # Harbor's tag of a platform's manifest is its digest
        return Ignored(f"{name}: {digest[:19]} has no tag, as a part of another image")
    return Push(kind="image", source="registry", repository=name, ref=tag, digest=digest, by=by)


def _safely(reader: Any, *arguments: Any) -> Push | Ignored:
    """What a reader finds; what it cannot read is ignored."""
    try:
        found: Push | Ignored = reader(*arguments)
    except (KeyError, TypeError, AttributeError, ValueError):
        return Ignored("it does not have the form of such an event")
    return found


def _is_nothing(commit: Any) -> bool:
    return not isinstance(commit, str) or not commit.strip("0")


def _text(of: Any, key: str) -> str | None:
    value = of.get(key) if isinstance(of, dict) else None
    return one_line(value, 200) if isinstance(value, str) and value.strip() else None


def _word(value: Any) -> str:
    return one_line(value, 200) if isinstance(value, str) and value.strip() else "something without a name"


def _files(commits: Any, count: Any) -> list[str] | None:
    """What all commits of a push change; None where not all are told."""
    if not isinstance(commits, list) or len(commits) != count or not commits:
        return None
    lists = [it.get(key) for it in commits for key in ("added", "modified", "removed")]
    if not all(isinstance(it, list) for it in lists):
        return None
    return sorted({str(name) for it in lists for name in it})
