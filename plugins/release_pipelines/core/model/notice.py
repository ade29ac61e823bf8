"""The notice that people get when a release has ended, or waits for one of them."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from release_pipelines.core.model.base import Stored, Value
from release_pipelines.core.model.outcome import TrainOutcome
from release_pipelines.core.model.person import Asked

if TYPE_CHECKING:
    from release_pipelines.core.model.records import Release, ReleaseDetail


WAITING: Literal["waiting"] = "waiting"
"""What receivers are told, beside outcomes: a person is waited for."""


class Waiting(Value):
    """A release waits for a person.

    :param task: the id of the task that waits.
    :param sentence: what is asked, in a sentence.
    :param who: who may answer, in words; None: it is not limited.
    :param until: until when, in words; None: without an end.
    :param url: the page where the answer is given, where Airflow knows its own address.
    :param reminder: whether it was told before.
    """

    task: str
    sentence: str
    who: str | None = None
    until: str | None = None
    url: str | None = None
    reminder: bool = False


class Notice(Stored):
    """One outcome, or one wait, for one receiver or many. Holds nothing secret."""

    later: ClassVar[frozenset[str]] = frozenset({"who", "until", "reminder"})

    schema_version: int = 1
    outcome: TrainOutcome | Literal["stuck", "waiting"] = Field(
        description="`stuck`: in mid-release, a way back does not get through; `waiting`: a person is waited for"
    )
    sentence: str
    app: str
    version: str
    environment: str
    release: str = Field(description="Its id in the history")
    requester: str | None = None
    approver: str | None = None
    url: str | None = Field(
        None, description="The run's page, or that of the answer, where Airflow knows its own address"
    )
    who: str | None = Field(None, description="Who may answer what is waited for")
    until: str | None = Field(None, description="Until when")
    reminder: bool = Field(False, description="Whether it was told before that a person is waited for")
    what_to_do: list[str] = Field(default_factory=list, description="Markdown, a step each; where it was an incident")
    report: str | None = Field(None, description="The incident report in Markdown")

    @property
    def urgent(self) -> bool:
        """Whether a person is called: the way back does not get through, or a rollback, or one of a train's, failed, too."""
        return self.outcome in ("stuck", "rollback_failed", "compensation_failed")

    @property
    def title(self) -> str:
        """Like ``shop 1.1.0 in production: rolled back``; an urgent one asks for a person."""
        called = "A person is needed: " if self.urgent else "Reminder: " if self.reminder else ""
        if self.outcome == WAITING:
            return f"{called}{self.app} {self.version} in {self.environment} waits for {self.who or 'a person'}"
        return f"{called}{self.app} {self.version} in {self.environment}: {self.outcome.replace('_', ' ')}"

    @property
    def facts(self) -> dict[str, str]:
        """The release's facts, by their labels for people."""
        facts = {
            "App": self.app,
            "Version": self.version,
            "Environment": self.environment,
            "Asked by": self.requester,
            "Rejected by" if self.outcome == "rejected" else "Approved by": self.approver,
            "May answer": self.who,
            "Until": self.until,
            "Run": self.url,
        }
        return {name: value for name, value in facts.items() if value}


def notice_of(
    release: "ReleaseDetail",
    environment: str,
    url: str | None = None,
    what_to_do: list[str] | None = None,
    report: str | None = None,
) -> Notice:
    """The notice of a release that has ended, from its row in the history."""
    return Notice(
        outcome=release.outcome or "failed",
        sentence=release.sentence or "",
        **_of(release, environment),
        url=url,
        what_to_do=what_to_do or [],
        report=report,
    )


def notice_of_waiting(release: "Release", environment: str, waiting: Waiting) -> Notice:
    """The notice of a release that waits for a person."""
    return Notice(
        outcome=WAITING,
        sentence=waiting.sentence,
        **_of(release, environment),
        url=waiting.url,
        who=waiting.who,
        until=waiting.until,
        reminder=waiting.reminder,
    )


def _of(release: "Release", environment: str) -> dict[str, Any]:
    """What every notice says of its release."""
    return {
        "app": release.app,
        "version": release.version,
        "environment": environment,
        "release": release.id,
        "requester": str(Asked(release.requester, release.started_by)) if release.requester else None,
        "approver": release.approver,
    }
