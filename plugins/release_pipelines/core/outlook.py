"""What the calendars that a release keeps to come to: may it begin, why, and when next. Pure: no files, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from release_pipelines.core.model.units import lasting
from release_pipelines.core.planning import Ask, may_begin, moment, next_opening, too_late

if TYPE_CHECKING:
    from release_pipelines.core.model.window import WindowRule


class Outlook(NamedTuple):
    """Whether a release may begin.

    :param sentence: why, and when next.
    :param next_at: when the next window opens that it may begin in, as Unix time in seconds; None: that is not known.
    :param latest_at: until when it may begin now, as Unix time in seconds; None: it may not, or that is not known to end.
    """

    may_begin: bool
    sentence: str
    next_at: float | None
    latest_at: float | None


def outlook(rule: WindowRule, ask: Ask, now: float) -> Outlook:
    """What the calendars of a rule come to now, by what preflight and the wait for a window ask, too.

    :param now: Unix time in seconds.
    """
    standing = ask(now)
    next_at = next_opening(rule, ask, standing)
    if may_begin(rule, standing, now):
        latest = None if standing.closes_at is None else standing.closes_at - (rule.latest_start or 0)
        until = (
            f", at the latest {moment(latest, rule.time_zone)} (`latest_start`)" if latest and rule.latest_start else ""
        )
        sentence = f"{rule.app} may be changed in {rule.environment} now{until} ({standing.sentence})."
        return Outlook(True, sentence, next_at, latest)
    why = never_begins(rule, ask, now)
    when = f" It may begin next on {moment(next_at, rule.time_zone)}." if next_at is not None else ""
    return Outlook(False, f"{too_late(rule, standing)}{when}{f' {why}.' if why else ''}", next_at, None)


def never_begins(rule: WindowRule, ask: Ask, now: float) -> str | None:
    """Why no window is one that a release may begin in, in a sentence without its full stop; None: there is one, or none is known.

    :param now: Unix time in seconds.
    """
    standing = ask(now)
    opens = standing.open or standing.opens_at is not None
    if rule.latest_start is None or not opens or may_begin(rule, standing, now):
        return None
    if next_opening(rule, ask, standing) is not None:
        return None
    return f"`latest_start` ({lasting(rule.latest_start)}) is longer than every window that is known: nothing can begin"
