"""What a screen reader says of a release: each change of its state once, without numbers that move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from release_pipelines.core.model.records import Event, Release, ReleaseDetail
from release_pipelines.core.overview import Listed

NEWEST = 30
"""How many of the newest sentences a page has: what was missed while a connection was lost is among them."""
STEPS = {
    "traffic": "The next step has begun.",
    "window": "Its window opens or closes.",
    "rollback": "It goes back.",
    "verified": "The version before has the traffic again.",
}
CALLS = {
    "asked": "Your answer is needed: it waits for its approval.",
    "waits": "Your answer is needed: it waits for a person.",
    "stuck": "Failed: its traffic cannot be moved.",
}
COMMANDS = {
    "pause": "Paused",
    "resume": "Resumed",
    "promote": "Promoted",
    "skip": "A step was skipped",
    "abort": "Aborted",
}
ENDS = {
    "released": "It is released.",
    "no_op": "It has ended: there was nothing to do.",
    "rejected": "It has ended: it was rejected.",
    "expired": "It has ended: nobody answered in time.",
    "superseded": "It has ended: something else was put in its place.",
    "aborted": "It has ended: it was aborted.",
    "rolled_back": "Failed: it was rolled back.",
    "stopped": "Failed: the train has stopped.",
    "compensated": "Failed: the train has gone back.",
}
FAILED = "Failed. A person has to look at it."


class Told(NamedTuple):
    """A sentence for a screen reader.

    :param id: of what happened: a page says it once.
    :param urgent: it interrupts what is being said.
    """

    id: str
    text: str
    urgent: bool = False


def told(release: ReleaseDetail) -> list[Told]:
    """What is said of one release, oldest first."""
    found = [(it.at, said) for number, it in enumerate(release.events) if (said := _event(number, it))]
    for number, approval in enumerate(release.approvals):
        who = f" by {approval.by}" if approval.by else ""
        words = "Nobody answered in time" if approval.decision == "expired" else approval.decision.capitalize()
        found.append((approval.at, Told(f"approval-{number}", f"{words}{who}.")))
    if release.outcome:
        found.append((release.ended_at or release.started_at, ended(release)))
    return [said for _, said in sorted(found, key=lambda it: it[0])][-NEWEST:]


def endings(releases: Sequence[Release | Listed]) -> list[Told]:
    """What is said of many releases: that they have begun, and how they ended; oldest first."""
    return [said for _, said in sorted(_turns(releases), key=lambda it: it[0])][-NEWEST:]


def _turns(releases: Sequence[Release | Listed]) -> Iterator[tuple[float, Told]]:
    for it in releases:
        yield it.started_at, Told(f"{it.id}-began", f"{it.app}: a release has begun.")
        if it.outcome:
            said = ended(it)
            yield it.ended_at or it.started_at, said._replace(id=f"{it.id}-{said.id}", text=f"{it.app}: {said.text}")


def ended(release: Release | Listed) -> Told:
    """How a release ended."""
    text = ENDS.get(release.outcome or "", FAILED)
    return Told(f"end-{release.outcome}", text, text.startswith("Failed"))


def _event(number: int, event: Event) -> Told | None:
    """An event as it is said; None: it is for the page alone."""
    if event.kind in CALLS:
        return Told(f"event-{number}", CALLS[event.kind], urgent=True)
    if event.kind in STEPS:
        return Told(f"event-{number}", STEPS[event.kind])
    data = event.data or {}
    if event.kind == "control" and data.get("kind") in COMMANDS:
        return Told(f"event-{number}", f"{COMMANDS[data['kind']]} by {data.get('by')}.")
    return None
