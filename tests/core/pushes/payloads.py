"""Made-up deliveries, right in shape."""

from __future__ import annotations

from typing import Any

C1, C3, C5 = "1" * 40, "3" * 40, "5" * 40
TAG_OBJECT = "a" * 40
I1, CHILD = "sha256:" + "1" * 64, "sha256:" + "c" * 64


def github(ref: str = "refs/heads/main", commit: str = C1, **more: Any) -> dict[str, Any]:
    """GitHub's event ``push``."""
    return {
        "ref": ref,
        "before": "0" * 39 + "1",
        "after": commit,
        "created": False,
        "deleted": False,
        "forced": False,
        "head_commit": {"id": commit, "message": "a change", "timestamp": "2026-11-27T09:00:00Z"},
        "commits": [{"id": commit, "added": [], "modified": ["app.py"], "removed": []}],
        "pusher": {"name": "octocat", "email": "o@example.org"},
        "sender": {"login": "octocat"},
        "repository": {"full_name": "acme/shop"},
        **more,
    }


def gitlab(ref: str = "refs/heads/main", commit: str = C1, **more: Any) -> dict[str, Any]:
    """GitLab's push and tag push."""
    return {
        "object_kind": "tag_push" if ref.startswith("refs/tags/") else "push",
        "ref": ref,
        "before": "0" * 40,
        "after": commit,
        "checkout_sha": commit,
        "user_username": "octocat",
        "project": {"path_with_namespace": "acme/shop"},
        "commits": [{"id": commit, "added": [], "modified": ["app.py"], "removed": []}],
        "total_commits_count": 1,
        **more,
    }


def pushed(
    tag: str | None, digest: str, repository: str = "shop", action: str = "push", method: str = "PUT"
) -> dict[str, Any]:
    """One event of a registry of the OCI distribution."""
    target = {"repository": repository, "digest": digest, **({"tag": tag} if tag else {})}
    return {"action": action, "target": target, "request": {"method": method}, "actor": {"name": "builder"}}


def harbor(*resources: tuple[str, str], repository: str = "acme/shop", kind: str = "PUSH_ARTIFACT") -> dict[str, Any]:
    """Harbor's event."""
    return {
        "type": kind,
        "operator": "robot$builder",
        "event_data": {
            "resources": [{"tag": tag, "digest": digest, "resource_url": "…"} for tag, digest in resources],
            "repository": {"repo_full_name": repository, "name": "shop", "namespace": "acme"},
        },
    }


def ecr(tag: str, digest: str, action: str = "PUSH", result: str = "SUCCESS") -> dict[str, Any]:
    """Amazon ECR's event, as EventBridge gives it."""
    return {
        "detail-type": "ECR Image Action",
        "source": "aws.ecr",
        "detail": {
            "action-type": action,
            "result": result,
            "repository-name": "shop",
            "image-digest": digest,
            "image-tag": tag,
        },
    }
