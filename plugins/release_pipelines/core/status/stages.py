"""How far a release is: each of its parts is done, now, to come, skipped or failed.

Tasks tell the history what they did, not that they began: so what lies before something that has begun is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from release_pipelines.core.model.measurement import Judgement
from release_pipelines.core.model.records import RecordedVerdict, ReleaseDetail
from release_pipelines.core.model.release_id import is_rollback
from release_pipelines.core.status.model import Line, Planned, StageState, StageStatus

GOOD = ("released", "no_op")
WENT_BACK = ("rolled_back", "rollback_failed", "aborted", "superseded")
TRAFFIC, ROLLBACK, ASKED, DEPLOYED = "traffic", "rollback", "asked", "deployed"
"""Kinds of events that say where a release is."""


@dataclass
class Seen:
    """What is known of one part."""

    began_at: float | None = None
    ended_at: float | None = None
    judgement: Judgement | None = None
    sentence: str | None = None
    failed: bool = False

    @property
    def anything(self) -> bool:
        """Whether it has begun."""
        return self.began_at is not None or self.ended_at is not None


def stages_of(release: ReleaseDetail, line: Line | None) -> list[StageStatus]:
    """All parts in order.

    :param release: with its records.
    :param line: what its specification says; None: only what happened is known.
    """
    planned = line.stages if line and line.stages else _told(release)
    seen = [_seen(release, it, line.environment if line else last_place(release)) for it in planned]
    furthest = max((n for n, it in enumerate(seen) if it.anything), default=0)
    states = _states(release, planned, seen, furthest)
    made = [
        StageStatus(
            name=part.name,
            kind=part.kind,
            environment=part.environment,
            words=part.words,
            weight=part.weight,
            state=state,
            began_at=known.began_at,
            ended_at=known.ended_at,
            judgement=known.judgement,
            sentence=known.sentence,
        )
        for part, known, state in zip(planned, seen, states, strict=True)
    ]
    return [*made, *_rollback(release)]


def _states(release: ReleaseDetail, planned: list[Planned], seen: list[Seen], furthest: int) -> list[StageState]:
    ended, back = release.outcome is not None, going_back(release)
    states: list[StageState] = []
    for n, (part, known) in enumerate(zip(planned, seen, strict=True)):
        state: StageState = "done"
        if known.failed:
            state = "failed"
        elif n < furthest:
            state = "skipped" if part.kind == "stage" and not known.anything else "done"
        elif n == furthest and known.ended_at is None:
            state = "now"
        elif n > furthest:
            state = "to come"
        states.append(state)
    if ended:
        last: StageState = "done" if release.outcome == "released" else "failed"
        if release.outcome == "no_op":
            return ["done" if it == "done" or n == 0 else "skipped" for n, it in enumerate(states)]
        if last == "failed" and states and "failed" not in states and "now" not in states:
            states[states.index("to come") if "to come" in states else furthest] = "failed"
        over = {"now": last, "to come": "done" if last == "done" else "skipped"}
        return [over.get(it, it) for it in states]  # type: ignore[misc]
    if back:
        return ["failed" if it == "now" else "skipped" if it == "to come" else it for it in states]
    if "failed" in states:  # it holds for a person, or is about to go back
        return states
    if "now" not in states and "to come" in states:
        states[states.index("to come")] = "now"
    return states


def going_back(release: ReleaseDetail) -> bool:
    """Whether the way back has begun."""
    return any(it.kind == ROLLBACK for it in release.events)


def last_place(release: ReleaseDetail) -> str | None:
    """The last environment that anything is told of."""
    places = [it.environment for it in release.events if it.environment and it.kind in (DEPLOYED, TRAFFIC, ROLLBACK)]
    return places[-1] if places else release.verdicts[-1].environment if release.verdicts else None


def _seen(release: ReleaseDetail, part: Planned, last: str | None) -> Seen:
    ways = {
        "preflight": _preflight,
        "build": _bound,
        "examine": _examined,
        "environment": _environment,
        "deploy": _environment,
        "approval": _approval,
        "stage": _stage,
        "promotion": _promotion,
    }
    look = ways.get(part.kind)
    found = look(release, part) if look else Seen()
    if part.kind == "approval" and last is not None and not found.anything and _deployed(release, last):
        found.ended_at = _deployed(release, last)  # a train's, or one that an earlier version recorded elsewhere
    return found


def _preflight(release: ReleaseDetail, part: Planned) -> Seen:
    checked = [it.at for it in release.events if it.kind == "checked"]
    return Seen(began_at=release.started_at, ended_at=checked[-1] if checked else None)


def _bound(release: ReleaseDetail, part: Planned) -> Seen:
    """An image has its digest when it was built, and what is known of it was told; or it was found."""
    told = [it.at for it in release.events if it.kind == "evidence" and (it.data or {}).get("digest") == release.digest]
    return Seen(ended_at=told[0] if told else _checked(release)) if release.digest else Seen()


def _examined(release: ReleaseDetail, part: Planned) -> Seen:
    return Seen(began_at=_checked(release)) if release.digest else Seen()


def _checked(release: ReleaseDetail) -> float:
    return next((it.at for it in release.events if it.kind == "checked"), release.started_at)


def _environment(release: ReleaseDetail, part: Planned) -> Seen:
    at = _deployed(release, part.environment)
    if part.kind == "deploy":
        return Seen(ended_at=at)
    told = [it for it in release.events if it.environment == part.environment and it.kind == DEPLOYED]
    return Seen(began_at=at, sentence=told[-1].sentence if told else None)


def _deployed(release: ReleaseDetail, environment: str | None) -> float | None:
    return next((it.at for it in release.events if it.kind == DEPLOYED and it.environment == environment), None)


def _approval(release: ReleaseDetail, part: Planned) -> Seen:
    asked = [it.at for it in release.events if it.kind == ASKED]
    if not release.approvals:
        return Seen(began_at=asked[0] if asked else None)
    answer = next((it for it in release.approvals if not asked or it.at >= asked[0]), release.approvals[0])
    words = f"{answer.decision} by {answer.by}" if answer.by else answer.decision
    return Seen(
        began_at=asked[0] if asked else None,
        ended_at=answer.at,
        sentence=f"{words}: {answer.note}" if answer.note else words,
        failed=answer.decision != "approved",
    )


def _stage(release: ReleaseDetail, part: Planned) -> Seen:
    begun = [it for it in release.events if it.kind == TRAFFIC and (it.data or {}).get("step") == part.name]
    begun = [it for it in begun if it.environment in (None, part.environment)]
    verdict = verdict_of(release, part.environment, part.name)
    progress = release.progress
    began = [(it.data or {}).get("at") or it.at for it in begun]
    if progress and progress.step == part.name and progress.environment == part.environment:
        began = [*began, progress.began_at or progress.at]
    if verdict is None:
        return Seen(began_at=began[0] if began else None)
    own = [it.at for it in release.measurements if it.step == part.name and it.environment == part.environment]
    return Seen(
        began_at=min([*began[:1], *own[:1]], default=None),
        ended_at=verdict.decided_at,
        judgement=verdict.judgement,
        sentence=verdict.sentence,
        failed=verdict.judgement == "fail" or (verdict.judgement != "pass" and _stopped(release)),
    )


def _stopped(release: ReleaseDetail) -> bool:
    return release.outcome not in (None, *GOOD) or going_back(release)


def verdict_of(release: ReleaseDetail, environment: str | None, step: str) -> RecordedVerdict | None:
    """The newest verdict of a step."""
    own = [it for it in release.verdicts if it.step == step and it.environment == environment]
    return max(own, key=lambda it: it.decided_at, default=None)


def _promotion(release: ReleaseDetail, part: Planned) -> Seen:
    return Seen(ended_at=release.promoted_at)


def _rollback(release: ReleaseDetail) -> list[StageStatus]:
    """The way back, where it was taken."""
    begun = [it for it in release.events if it.kind == ROLLBACK]
    if not begun:
        return []
    state: StageState = "now"
    if release.outcome is not None:
        state = "failed" if release.outcome == "rollback_failed" else "done"
    return [
        StageStatus(
            name="rollback",
            kind="rollback",
            environment=begun[-1].environment,
            words="the way back",
            state=state,
            began_at=begun[0].at,
            ended_at=release.ended_at,
            sentence=begun[-1].sentence,
        )
    ]


def _told(release: ReleaseDetail) -> list[Planned]:
    """The parts that the history tells of, where nobody has kept what was planned."""
    if is_rollback(release.id):
        return []
    made: list[Planned] = [Planned(name="preflight", kind="preflight", words="what can be checked beforehand")]
    if release.digest:
        made.append(Planned(name="image", kind="build", words="the image of this version"))
    last = last_place(release)
    places: Sequence[str] = list(
        dict.fromkeys(it.environment for it in release.events if it.kind == DEPLOYED and it.environment)
    )
    made += [Planned(name=it, kind="environment", environment=it, words="deployed") for it in places if it != last]
    if release.approvals or any(it.kind == ASKED for it in release.events):
        made.append(Planned(name="approval", kind="approval", words="a person says yes"))
    if last in places:
        made.append(Planned(name="deploy", kind="deploy", environment=last, words="deployed beside what serves"))
    steps: dict[tuple[str | None, str], tuple[float, int | None]] = {}
    for event in release.events:
        if event.kind == TRAFFIC and event.data and isinstance(event.data.get("step"), str):
            steps.setdefault((event.environment, event.data["step"]), (event.at, event.data.get("weight")))
    for verdict in release.verdicts:
        steps.setdefault((verdict.environment, verdict.step), (verdict.decided_at, verdict.weight))
    if (told := release.progress) is not None:
        steps.setdefault((told.environment, told.step), (told.at, told.weight))
    for (environment, step), (_, weight) in sorted(steps.items(), key=lambda it: it[1][0]):
        made.append(Planned(name=step, kind="stage", environment=environment or last, weight=weight))
    if release.promoted_at is not None:
        made.append(Planned(name="promote", kind="promotion", environment=last, words="it becomes stable"))
    return made
