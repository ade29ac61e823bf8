"""The one answer to "may this be released now": everything that asks a calendar asks here."""

from __future__ import annotations

import math
from collections.abc import Sequence

from release_pipelines.core.calendars.course import Course, State, course
from release_pipelines.core.calendars.model import Asked, Calendar, Opening, Standing
from release_pipelines.core.calendars.zones import shown, zone

MOST_STEPS = 20_000
"""How many times the next opening is looked for in calendars that are never open together."""


def standing(calendars: Sequence[Calendar], asked: Asked, at: float) -> Standing:
    """Whether all calendars are open at an instant, why, and until when.

    :param calendars: all of them must agree; none at all is always open.
    :param at: Unix time in seconds.
    """
    found = _standing(calendars, asked, at)
    troubles = [f"calendar {it.name}: {it.trouble}" for it in calendars if it.trouble is not None]
    return found.model_copy(update={"sentence": "; ".join([found.sentence, *troubles])}) if troubles else found


def _standing(calendars: Sequence[Calendar], asked: Asked, at: float) -> Standing:
    courses = [course(it, asked, at) for it in calendars]
    states = [it.state(at) for it in courses]
    if all(it.open for it in states):
        return _open(calendars, courses, states, at)
    opens = _next_opening(courses, at)
    calendar, run = next((c, r) for c, r, s in zip(calendars, courses, states, strict=True) if not s.open)
    until = f" until {shown(opens, zone(calendar.zone))}" if opens is not None else ", and no opening is known"
    decided = run.deciding(at) if calendar.broken is None else None
    if calendar.broken is not None:
        why = f"calendar {calendar.name}: {calendar.broken}"
        return Standing(open=False, sentence=f"closed: {why}", calendar=calendar.name)
    if decided and decided[0].kind == "freeze":
        why = f"{decided[0]} of calendar {calendar.name}"
    else:
        why = f"outside of the windows of calendar {calendar.name}"
    return Standing(
        open=False,
        sentence=f"closed: {why}{until}",
        opens_at=opens,
        calendar=calendar.name,
        entry=decided[0].name if decided else None,
    )


def openings(calendars: Sequence[Calendar], asked: Asked, start: float, end: float) -> list[Opening]:
    """The times in which all calendars are open, in order, as far as they overlap from ``start`` to ``end``; each in full.

    :param start: Unix time in seconds, as ``end``.
    """
    found = []
    at = start
    while at < end:
        now = standing(calendars, asked, at)
        if now.open:
            closes = math.inf if now.closes_at is None else now.closes_at
            found.append(Opening(-math.inf if now.began_at is None else now.began_at, closes, now.entry))
            at = closes
        elif now.opens_at is None:
            break
        else:
            at = now.opens_at
    return found


def _open(calendars: Sequence[Calendar], courses: Sequence[Course], states: Sequence[State], at: float) -> Standing:
    if not calendars:
        return Standing(open=True, sentence="open: no calendar is named")
    n = min(range(len(states)), key=lambda it: states[it].until)
    calendar, closes, began = calendars[n], states[n].until, max(it.since for it in states)
    decided = courses[n].deciding(at)
    what = f"{decided[0]} of calendar {calendar.name}" if decided else f"no freeze of calendar {calendar.name}"
    until = ""
    if math.isfinite(closes):
        frozen = courses[n].deciding(closes)
        why = f", when {frozen[0]} begins" if frozen and frozen[0].kind == "freeze" else ""
        until = f" until {shown(closes, zone(decided[0].zone if decided else calendar.zone))}{why}"
    return Standing(
        open=True,
        sentence=f"open: {what}{until}",
        closes_at=closes if math.isfinite(closes) else None,
        began_at=began if math.isfinite(began) else None,
        calendar=calendar.name,
        entry=decided[0].name if decided else None,
    )


def _next_opening(courses: Sequence[Course], at: float) -> float | None:
    """The first instant after ``at`` at which all are open; None where none is known."""
    for _ in range(MOST_STEPS):
        later = max((state.until for it in courses if not (state := it.state(at)).open), default=at)
        if later == at:
            return at
        if math.isinf(later):
            return None
        at = later
    return None
