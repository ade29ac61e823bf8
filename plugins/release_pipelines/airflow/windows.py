"""What the calendars say of a release: read anew each time, so that a freeze put in now counts now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from release_pipelines.core import planning
from release_pipelines.core.model.units import lasting
from release_pipelines.core.planning import may_begin as may_begin
from release_pipelines.core.planning import moment as moment
from release_pipelines.core.planning import too_late as too_late

if TYPE_CHECKING:
    from release_pipelines.core.calendars import Standing
    from release_pipelines.core.model.window import WindowRule
    from release_pipelines.core.progression.context import AskCalendars


WINDOW_CLOSED = "WindowClosed"
"""What was in the way of a release that went back because its window had closed: not the version."""


def kept_to(window: WindowRule | dict[str, Any] | None, overridden: Any) -> dict[str, Any] | None:
    """The window that a release keeps to, as a trigger's argument; None where it keeps to none.

    :param overridden: why an urgent release does not keep to it; empty: it does.
    """
    from release_pipelines.airflow.operator import as_value, is_blank
    from release_pipelines.core.model.base import to_json
    from release_pipelines.core.model.window import WindowRule

    if window is None or not is_blank(overridden):
        return None
    return to_json(as_value(WindowRule, window, "window"))


def standing_at(rule: WindowRule, at: float) -> Standing:
    """Whether the calendars of a rule are open at a Unix time in seconds, as they are written now."""
    from release_pipelines.airflow.calendars import standing_now

    return standing_now(rule.calendars, rule.app, rule.environment, rule.tags, at)


def asking(rule: WindowRule) -> AskCalendars:
    """The same for the loops of a release, in a thread."""

    async def ask(at: float) -> Standing:
        return await asyncio.to_thread(standing_at, rule, at)

    return ask


def goes_on(rule: WindowRule, standing: Standing) -> str:
    """Why a release waits, and when it goes on as far as that is known, for its run's note."""
    if standing.open:
        at = next_opening(rule, standing)
        until = f", which opens {moment(at, rule.time_zone)}" if at is not None else ""
        return f"{too_late(rule, standing)} It waits for the next window{until}."
    at = standing.opens_at
    when = f"until {moment(at, rule.time_zone)}" if at is not None else "until its calendars say when they open"
    return f"Waits for its window {when}: {standing.sentence}."


def next_opening(rule: WindowRule, standing: Standing) -> float | None:
    """When the next window opens that a release could begin in, as Unix time in seconds; None: that is not known."""
    return planning.next_opening(rule, partial(standing_at, rule), standing)


def ran_over(rule: WindowRule, began: float, ended: float) -> str | None:
    """How far a release ran over its window, in a sentence without its full stop; None: it did not.

    :param began: when it began to change the environment, as Unix time in seconds, as ``ended``.
    """
    from release_pipelines.airflow.calendars import load_calendars
    from release_pipelines.core.calendars import Asked, openings

    asked = Asked(rule.app, rule.environment, frozenset(rule.tags))
    closed = [it.end for it in openings(load_calendars(rule.calendars), asked, began, ended)]
    if not closed or closed[-1] >= ended:
        return None
    return f"It ran {lasting(round(ended - closed[-1]))} over its window, which closed {moment(closed[-1], rule.time_zone)}"


def obstacle_to_plan(rule: WindowRule, text: str, valid_for: float) -> str | None:
    """Why a release cannot be planned for a wall time, in a sentence; None: it can. Judged by that moment, not by now.

    :param valid_for: how long an approval holds, in seconds.
    """
    import time

    return planning.obstacle_to_plan(rule, text, partial(standing_at, rule), time.time(), valid_for)


def planned_at(rule: WindowRule, text: str | None) -> float:
    """The instant of a planned wall time, by the zone's rules of now, as Unix time in seconds; 0 where nothing is planned."""
    from release_pipelines.core.calendars.moments import moment_of

    return moment_of(text, rule.time_zone).at if text else 0.0


def same_window(rule: WindowRule, one: float, other: float) -> bool:
    """Whether two instants, as Unix times in seconds, are in one window."""
    return planning.same_window(partial(standing_at, rule), one, other)


def troubles(rule: WindowRule) -> list[str]:
    """What is wrong with calendars that count although, in sentences without their full stop."""
    from release_pipelines.airflow.calendars import load_calendars

    return [f"calendar {it.name}: {it.trouble}" for it in load_calendars(rule.calendars) if it.trouble is not None]


def obstacle_now(rule: WindowRule) -> str | None:
    """Why a release may not begin now, in a sentence; None: it may."""
    import time

    now = time.time()
    standing = standing_at(rule, now)
    return None if may_begin(rule, standing, now) else too_late(rule, standing)


def too_short_now(rule: WindowRule, durations: Sequence[float]) -> list[str]:
    """Windows that are shorter than the last releases took, in sentences without their full stop.

    :param durations: of the last releases, in seconds.
    """
    import time

    from release_pipelines.airflow.calendars import load_calendars
    from release_pipelines.core.calendars import Asked, too_short

    asked, now = Asked(rule.app, rule.environment, frozenset(rule.tags)), time.time()
    return [sentence for it in load_calendars(rule.calendars) for sentence in too_short(it, asked, durations, now)]


def fit(durations: Sequence[float], left: float | None) -> str:
    """Whether a release as long as the last ones fits into what is left of a window, in words.

    :param durations: of the last releases, in seconds; empty: none is known.
    :param left: seconds until the window closes; None: it is not known to close.
    """
    if not durations:
        return "whether a release fits is unknown: none has come to a good end here yet"
    shortest, longest = lasting(min(durations)), lasting(max(durations))
    took = f"the last releases took {shortest}" + (f" to {longest}" if shortest != longest else "")
    if left is None:
        return f"{took}; it is not known to close"
    fits = "it fits" if max(durations) <= left else "**it does not fit**"
    return f"{fits}: {took}, {lasting(left)} are left"


def window_in_words(rule: WindowRule, durations: Sequence[float], at: float) -> str:
    """What an approver has to know of the window, for a release that would begin at a Unix time in seconds."""
    standing = standing_at(rule, at)
    if may_begin(rule, standing, at):
        said, left = standing.sentence, None if standing.closes_at is None else standing.closes_at - at
    else:
        said, left = goes_on(rule, standing).rstrip("."), None
        if (opens_at := next_opening(rule, standing)) is not None:
            closes_at = standing_at(rule, opens_at).closes_at
            left = None if closes_at is None else closes_at - opens_at
    return f"{said}; {fit(durations, left)}; {rule.on_close.in_words()}"
