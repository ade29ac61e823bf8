"""What a release waits for, and until when, as moments: whoever shows it counts down by the server's clock."""

from __future__ import annotations

from release_pipelines.core.model.command import command_state, given_by
from release_pipelines.core.model.progress import Progress
from release_pipelines.core.model.records import ReleaseDetail
from release_pipelines.core.status.model import Clock, Line, StageStatus
from release_pipelines.core.status.stages import ASKED, going_back, verdict_of

WAITS = "waits"
"""Kind of the event of a stage that waits for a person."""
WINDOW = "window"
"""Kind of the event that a window has closed or opened."""


def clock_of(
    release: ReleaseDetail,
    stages: list[StageStatus],
    line: Line | None,
    now: float,
    *,
    who: str | None = None,
) -> Clock:
    """The clock.

    :param stages: how far it is.
    :param line: what its specification says; None: that is not known.
    :param now: Unix time in seconds.
    :param who: who may answer its questions, in words; None: that is not known.
    """
    if release.outcome is not None:
        return Clock(waits_for="nothing", sentence="It has ended.", at=release.ended_at)
    if going_back(release):
        begun = next(it for it in release.events if it.kind == "rollback")
        return Clock(waits_for="work", sentence="It is on its way back.", since_at=begun.at)
    if asked := _open_approval(release):
        timeout = next((it.timeout for it in line.stages if it.kind == "approval"), None) if line else None
        sentence = f"It waits for an approval{f': {who} may answer' if who else ''}."
        expires = asked + timeout if timeout is not None else None
        return Clock(waits_for="approval", sentence=sentence, since_at=asked, expires_at=expires, who=who)
    told = live(release)
    if told is not None:
        return _of_stage(release, told, now)
    here = next((it for it in stages if it.state == "now"), None)
    if held := _held(release):
        return Clock(waits_for="answer", sentence=held[1], since_at=held[0], who=who)
    if here is not None and here.kind == "question":
        before = [it.ended_at for it in stages[: stages.index(here)] if it.ended_at is not None]
        sentence = f"{here.name}: a person is asked{f', {who} may answer' if who else ''}."
        return Clock(waits_for="answer", sentence=sentence, since_at=before[-1] if before else None, who=who)
    if closed := _closed(release):
        return closed
    if here is None:
        return Clock(waits_for="work", sentence="It works.")
    place = f" in {here.environment}" if here.environment and here.environment != here.name else ""
    return Clock(waits_for="work", sentence=f"It works on {here.name}{place}.")


def live(release: ReleaseDetail) -> Progress | None:
    """What a stage tells that goes on; None: no stage does, or it is over since."""
    told = release.progress
    if told is None or release.outcome is not None:
        return None
    verdict = verdict_of(release, told.environment, told.step)
    over = (
        verdict is not None and verdict.decided_at >= (told.began_at or told.at) and verdict.judgement != "inconclusive"
    )
    later = [
        it
        for it in release.events
        if it.kind == "traffic" and it.at > told.at and (it.data or {}).get("step") != told.step
    ]
    back = [it for it in release.events if it.kind == "rollback" and it.at >= (told.began_at or told.at)]
    return None if over or later or back else told


def _of_stage(release: ReleaseDetail, told: Progress, now: float) -> Clock:
    """A hold: it goes on, stands still, or is over and waits for numbers."""
    moments = {
        "at": told.at,
        "since_at": told.began_at,
        "earliest_at": told.earliest,
        "latest_at": told.latest,
        "patient_until_at": told.latest + told.patience if told.latest is not None else None,
        "opens_at": told.opens_at,
        "closes_at": told.closes_at,
    }
    if told.closed:
        sentence = f"{told.step}: its clock stands still until its window opens: {told.closed}."
        return Clock(waits_for="window", sentence=sentence, **{**moments, "since_at": told.paused_at})
    if told.latest is None:
        paused = command_state(release.commands).pause
        by = given_by(paused) if paused else None
        sentence = f"{told.step}: its clock stands still{f', paused by {by}' if by else ': a person has paused it'}."
        return Clock(waits_for="resume", sentence=sentence, by=by, **{**moments, "since_at": told.paused_at})
    if now >= told.latest:
        what = "what is missing is waited for" if told.missing else "it holds on until the numbers decide"
        return Clock(waits_for="numbers", sentence=f"{told.step}: its time is over; {what}.", **moments)
    early = ", or less where the evidence is good enough" if told.earliest and told.earliest < told.latest else ""
    return Clock(waits_for="hold", sentence=f"{told.step}: {told.traffic} until its hold ends{early}.", **moments)


def _open_approval(release: ReleaseDetail) -> float | None:
    asked = [it.at for it in release.events if it.kind == ASKED]
    return asked[-1] if asked and not release.approvals else None


def _held(release: ReleaseDetail) -> tuple[float, str] | None:
    """A stage waits for a person, and nothing has happened since."""
    told = [it for it in release.events if it.kind == WAITS]
    if not told or any(it.at > told[-1].at and it.kind in ("traffic", "promoted", "rollback") for it in release.events):
        return None
    return told[-1].at, told[-1].sentence


def _closed(release: ReleaseDetail) -> Clock | None:
    """It waits for its window, and has not been told since that it is open."""
    told = [it for it in release.events if it.kind == WINDOW and it.data and it.data.keys() & {"open", "began_at"}]
    data = (told[-1].data or {}) if told else {}
    if data.get("open", True):
        return None
    if any(it.at > told[-1].at and it.kind in ("traffic", "deployed", "rollback") for it in release.events):
        return None
    opens, expires = (
        float(it) if isinstance(it := data.get(name), (int, float)) else None for name in ("opens_at", "expires_at")
    )
    return Clock(
        waits_for="window", sentence=told[-1].sentence, since_at=told[-1].at, opens_at=opens, expires_at=expires
    )
