"""Evidence that is as its schema says, for tests of policies."""

from __future__ import annotations

from typing import Any

DIGEST = "sha256:" + "a" * 64


def evidence(**more: Any) -> dict[str, Any]:
    """A document with what every release knows, and one finding of one scanner; None leaves a part out."""
    found = {
        "scanner": "trivy",
        "kind": "vulnerability",
        "severity": "high",
        "rule": "CVE-2026-1",
        "aliases": [],
        "component": "pkg:pypi/flask@1.0",
        "fixed_in": None,
        "platform": None,
        "file": "",
        "text": "bad",
        "excepted": None,
    }
    counts = {"unknown": 0, "low": 0, "medium": 0, "high": 1, "critical": 0}
    scan = {"status": "findings", "counts": counts, "data_age": 60.0, "subjects": [DIGEST], "sentence": "1 high."}
    document = {
        "at": 1_700_000_000.0,
        "app": "shop",
        "version": "1.1.0",
        "environment": "production",
        "image": "registry.example/shop",
        "digest": DIGEST,
        "strategy": "canary",
        "tags": [],
        "calendars": [],
        "requester": "alice",
        "urgent": None,
        "serving": None,
        "scans": {"trivy": scan},
        "findings": [found],
        **more,
    }
    return {name: it for name, it in document.items() if it is not None or name in ("requester", "urgent", "serving")}
