"""The trigger that waits for a window: for weeks, if it has to."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from release_pipelines.core.model.window import WindowRule
from release_pipelines.core.text import storable

log = logging.getLogger(__name__)

LOOK_SECONDS = 15.0
"""Longest pause between two looks at the calendars, in seconds: a freeze may be lifted, or put in."""


class WindowTrigger(BaseTrigger):
    """Wait until the calendars are open long enough, the approval expires, or a person aborts the release.

    Nothing begins before the exact second: after each pause the calendars are asked again.

    :param rule: the :class:`~release_pipelines.core.model.window.WindowRule` as a dict.
    :param release: the release's id.
    :param start_at: the wall time that the release is planned for; None: it begins in the first window.
    :param expires_at: when the approval expires, as Unix time in seconds; None: never.

    Event: ``{"open": sentence}``, ``{"expired": true}``, or ``{"aborted": {"by", "reason"}}``.
    """

    def __init__(
        self,
        *,
        rule: dict[str, Any],
        release: str,
        expires_at: float | None = None,
        start_at: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__()
        self.arguments = {"rule": rule, "release": release, "expires_at": expires_at, "start_at": start_at, **more}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, for Airflow."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self.arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; yields one event."""
        yield TriggerEvent(storable(await self._wait()))

    async def _wait(self) -> dict[str, Any]:
        from release_pipelines.airflow.commands import commands_of
        from release_pipelines.airflow.notes import note_run
        from release_pipelines.airflow.windows import asking, goes_on, may_begin, planned_at
        from release_pipelines.core.progression.commands import aborted_by

        rule, release = WindowRule.model_validate(self.arguments["rule"]), self.arguments["release"]
        expires_at, told = self.arguments["expires_at"], None
        commands, ask = commands_of(release), asking(rule)
        while True:
            if abort := (await commands.state()).abort:
                await commands.answer(abort, "Ended the wait; nothing was changed.")
                return {"aborted": aborted_by(abort)}
            now = time.time()
            if expires_at is not None and now >= expires_at:
                return {"expired": True}
            standing = await ask(now)
            planned_for = planned_at(rule, self.arguments["start_at"])  # anew: a country may change its rules
            if now >= planned_for and may_begin(rule, standing, now):
                return {"open": standing.sentence}
            words = goes_on(rule, standing) if now >= planned_for else None
            if words and words != told:
                told = words
                log.info(words)
                await note_run(release, words)
            ends = [it - now for it in (standing.opens_at, expires_at, planned_for) if it is not None and it > now]
            await commands.wait(max(0.01, min([LOOK_SECONDS, *ends])))
