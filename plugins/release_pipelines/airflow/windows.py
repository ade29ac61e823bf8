"""What the calendars say of a release: read anew each time, so that a freeze put in now counts now."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from release_pipelines.core.calendars import Standing
    from release_pipelines.core.model.window import WindowRule
    from release_pipelines.core.progression.context import AskCalendars


def standing_at(rule: WindowRule, at: float) -> Standing:
    """Whether the calendars of a rule are open at a Unix time in seconds, as they are written now."""
    from release_pipelines.airflow.calendars import load_calendars
    from release_pipelines.core.calendars import Asked, standing

    asked = Asked(rule.app, rule.environment, frozenset(rule.tags))
    return standing(load_calendars(rule.calendars), asked, at)


def asking(rule: WindowRule) -> AskCalendars:
    """The same for the loops of a release, in a thread."""

    async def ask(at: float) -> Standing:
        return await asyncio.to_thread(standing_at, rule, at)

    return ask
