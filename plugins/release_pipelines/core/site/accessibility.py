"""What axe says of a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.finding import Finding, Rating

IMPACTS: dict[str | None, Rating] = {"critical": "critical", "serious": "high", "moderate": "medium", "minor": "low"}


class NotLooked(ReleaseError):
    """A page could not be looked at; the sentence says which, and why."""


def findings_in(path: str, report: Mapping[str, Any]) -> Iterator[Finding]:
    """The violations of one page.

    :param report: what ``axe.run()`` gave.
    :raises NotLooked: when no rule was tried.
    """
    if not report["violations"] and not report["passes"]:
        raise NotLooked(f"no rule of axe fits {path}: is it a page?")
    for it in report["violations"]:
        where = ", ".join(str(node["target"][0]) for node in it["nodes"][:3])
        yield Finding(
            kind="misconfiguration",
            severity=IMPACTS.get(it["impact"], "unknown"),
            rule=it["id"],
            file=path,
            text=f"{it['help']} ({len(it['nodes'])} times, like {where})",
        )
