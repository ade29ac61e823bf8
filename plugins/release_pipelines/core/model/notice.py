"""The notice that people get when a release has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from release_pipelines.core.model.base import Stored
from release_pipelines.core.model.outcome import Outcome

if TYPE_CHECKING:
    from release_pipelines.core.model.records import ReleaseDetail


class Notice(Stored):
    """One outcome, for one receiver or many. Holds nothing secret."""

    schema_version: int = 1
    outcome: Outcome | Literal["stuck"] = Field(description="`stuck`: in mid-release, a way back does not get through")
    sentence: str
    app: str
    version: str
    environment: str
    release: str = Field(description="Its id in the history")
    requester: str | None = None
    approver: str | None = None
    url: str | None = Field(None, description="The run's page, where Airflow knows its own address")
    what_to_do: list[str] = Field(default_factory=list, description="Markdown, a step each; where it was an incident")
    report: str | None = Field(None, description="The incident report in Markdown")

    @property
    def urgent(self) -> bool:
        """Whether a person is called: the way back does not get through, or the rollback failed, too."""
        return self.outcome in ("stuck", "rollback_failed")

    @property
    def title(self) -> str:
        """Like ``shop 1.1.0 in production: rolled back``; an urgent one asks for a person."""
        called = "A person is needed: " if self.urgent else ""
        return f"{called}{self.app} {self.version} in {self.environment}: {self.outcome.replace('_', ' ')}"

    @property
    def facts(self) -> dict[str, str]:
        """The release's facts, by their labels for people."""
        facts = {
            "App": self.app,
            "Version": self.version,
            "Environment": self.environment,
            "Asked by": self.requester,
            "Approved by": self.approver,
            "Run": self.url,
        }
        return {name: value for name, value in facts.items() if value}


def notice_of(
    release: ReleaseDetail,
    environment: str,
    url: str | None = None,
    what_to_do: list[str] | None = None,
    report: str | None = None,
) -> Notice:
    """The notice of a release that has ended, from its row in the history."""
    return Notice(
        outcome=release.outcome or "failed",
        sentence=release.sentence or "",
        app=release.app,
        version=release.version,
        environment=environment,
        release=release.id,
        requester=release.requester,
        approver=release.approver,
        url=url,
        what_to_do=what_to_do or [],
        report=report,
    )
