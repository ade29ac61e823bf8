"""When a release may begin by the window that it keeps to, and whether it can be planned for a moment. Pure: no files, no clock."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from release_pipelines.core.model.units import as_written

if TYPE_CHECKING:
    from release_pipelines.core.calendars import Standing
    from release_pipelines.core.model.window import WindowRule

Ask = Callable[[float], "Standing"]
"""What the calendars of a rule say of a Unix time in seconds."""
MOST_WINDOWS = 1000
"""So many windows are looked at for one in which a release may begin: all others may be too short for its latest start."""


def moment(at: float, time_zone: str) -> str:
    """A Unix time in seconds in a time zone, like ``Sat 28 Nov 2026 22:00 CET``."""
    from release_pipelines.core.calendars.zones import shown, zone

    return shown(at, zone(time_zone))


def may_begin(rule: WindowRule, standing: Standing, at: float) -> bool:
    """Whether a release may begin at a Unix time in seconds: it is open, and for long enough."""
    if not standing.open:
        return False
    return rule.latest_start is None or standing.closes_at is None or standing.closes_at - at >= rule.latest_start


def too_late(rule: WindowRule, standing: Standing) -> str:
    """Why a release may not begin now, in a sentence."""
    return _closed(rule, standing, "now", math.inf, rule.time_zone)


def _closed(rule: WindowRule, standing: Standing, when: str, now: float, time_zone: str) -> str:
    where = f"{rule.app} may not be changed in {rule.environment} {when}"
    if standing.open and rule.latest_start is not None and standing.closes_at is not None:
        latest = standing.closes_at - rule.latest_start
        is_or_was = "was" if latest < now else "is"
        return f"{where}: the latest start {is_or_was} {moment(latest, time_zone)} ({standing.sentence})."
    return f"{where} ({standing.sentence})."


def next_opening(rule: WindowRule, ask: Ask, standing: Standing) -> float | None:
    """When the next window opens that a release may begin in, as Unix time in seconds; None: that is not known.

    :param standing: what the calendars say of the moment from which on it is looked for; the window that is open then is not meant.
    """
    for _ in range(MOST_WINDOWS):
        at = standing.closes_at if standing.open else standing.opens_at
        if at is None:
            return None
        opened, standing = not standing.open, ask(at)
        if opened and may_begin(rule, standing, at):
            return at
    return None


def no_opening(rule: WindowRule, ask: Ask, standing: Standing) -> str:
    """Why no next window is known that a release may begin in, in words: :func:`next_opening` found none."""
    if short := _too_short(rule, ask, standing):
        return short
    return f"no later opening is known ({standing.sentence})" if standing.open else standing.sentence


def _too_short(rule: WindowRule, ask: Ask, standing: Standing) -> str | None:
    """That windows do open, and none of them is long enough to begin in, in words; None: that is not so."""
    any_length = rule.model_copy(update={"latest_start": None})
    if rule.latest_start is None or next_opening(any_length, ask, standing) is None:
        return None
    return f"none of the next windows is as long as `latest_start` ({as_written(rule.latest_start)})"


def obstacle_to_plan(rule: WindowRule, text: str, ask: Ask, now: float, valid_for: float) -> str | None:
    """Why a release cannot be planned for a moment, in a sentence; None: it can. Judged by that moment, not by now.

    :param now: Unix time in seconds.
    :param valid_for: how long an approval holds, in seconds.
    """
    from release_pipelines.core.calendars.moments import NeverShown, moment_of

    def possible(at: float, time_zone: str) -> str:
        return _possible(rule, ask, max(at, now), now, valid_for, time_zone)

    try:
        planned = moment_of(text, rule.time_zone)
    except NeverShown as error:
        passed = ", and that has passed" if error.at < now else ""
        return f"It cannot be planned: {error}{passed}.{possible(error.at, error.zone)}"
    except ValueError as error:
        why = str(error)
        return f"It cannot be planned: {why}{'' if why.endswith('?') else '.'}"
    if planned.at < now:
        return f"It cannot be planned for {planned.words}: that has passed.{possible(now, planned.zone)}"
    standing = ask(planned.at)
    if not may_begin(rule, standing, planned.at):
        why = _closed(rule, standing, f"on {planned.words}", now, planned.zone)
        return f"{why}{possible(planned.at, planned.zone)}"
    if planned.at > now + valid_for:
        return f"It cannot be planned for {planned.words}: {_holds(now, valid_for, planned.zone)}."
    return None


def _holds(now: float, valid_for: float, time_zone: str) -> str:
    return f"an approval of now holds until {moment(now + valid_for, time_zone)} (`approval.valid_for` is {as_written(valid_for)})"


def _possible(rule: WindowRule, ask: Ask, at: float, now: float, valid_for: float, time_zone: str) -> str:
    """The first moment from a Unix time in seconds on at which a release may begin, or why there is none, as a sentence."""
    standing = ask(at)
    opens_at = at if may_begin(rule, standing, at) else next_opening(rule, ask, standing)
    if opens_at is None:
        short = _too_short(rule, ask, standing)
        return f" There is no next possible moment: {short}." if short else ""
    if opens_at == now:
        return " The next possible moment is now: start it without a plan."
    when = moment(opens_at, time_zone)
    if opens_at > now + valid_for:
        return f" The next open moment after that is {when}, and {_holds(now, valid_for, time_zone)}."
    return f" The next possible moment is {when}."


def wall_time(at: float, time_zone: str) -> str:
    """A Unix time in whole seconds as it can be planned for, like ``2026-11-28 22:00 Europe/Berlin``.

    In UTC where clocks show that time twice, and the second is meant.
    """
    from release_pipelines.core.calendars.moments import moment_of
    from release_pipelines.core.calendars.zones import wall_clock, zone

    for name in (time_zone, "UTC"):
        clock: datetime = wall_clock(at, zone(name))
        text = f"{clock:%Y-%m-%d %H:%M:%S} {name}" if clock.second else f"{clock:%Y-%m-%d %H:%M} {name}"
        if moment_of(text, name).at == at:
            break
    return text


def same_window(ask: Ask, one: float, other: float) -> bool:
    """Whether two instants, as Unix times in seconds, are in one window."""
    standing = ask(one)
    began = standing.began_at if standing.began_at is not None else float("-inf")
    closes = standing.closes_at if standing.closes_at is not None else float("inf")
    return standing.open and began <= other < closes
