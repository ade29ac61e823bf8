"""The trigger of a question to a person, which judges the version meanwhile."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from http import HTTPStatus
from inspect import signature
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.triggers.base import TriggerEvent

from release_pipelines.airflow.triggers import error_event, release_context, with_platform
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import Target
from release_pipelines.core.text import storable

if TYPE_CHECKING:
    from release_pipelines.core.ports.platform import Platform
    from release_pipelines.core.progression.watch import StageWatch

SETTLE_SECONDS = 2.0
"""Time until Airflow has noticed that the process that asked has ended, in seconds. A task resumed sooner is tried again."""


class ReleaseApprovalTrigger(HITLTrigger):
    """Wait for the answer to a form, its end of time, a person who aborts the release, or a version that turns bad.

    Airflow resumes the task itself when somebody answers; this trigger is there for everything else.

    :param target: the app in its environment.
    :param release: the release's id.
    :param artifact: the version that is judged meanwhile; with ``fence``, ``stage`` (whose traffic it has) and ``previous`` as for
        :class:`~release_pipelines.features.stage.triggers.StageTrigger`. None: it has no traffic yet.
    :param remind_at: when people are reminded of the form, as Unix time in seconds; None: they are not.
    :param kwargs: those of Airflow's ``HITLTrigger``.

    Event: Airflow's own, ``{"unasked": true}`` when there is no form (of this try), ``{"remind": true}``, ``{"aborted": {"by", "reason"}}``,
    ``{"verdict", "samples", "notes", "aborted"}``, or ``{"error", "kind"}`` when the lease is lost.
    """

    def __init__(
        self,
        *,
        target: dict[str, Any],
        release: str,
        artifact: dict[str, Any] | None = None,
        fence: int = 0,
        stage: dict[str, Any] | None = None,
        previous: dict[str, Any] | None = None,
        remind_at: float | None = None,
        **kwargs: Any,
    ) -> None:
        asked = {key: it for key, it in kwargs.items() if key in signature(HITLTrigger).parameters}
        super().__init__(**asked)
        self.own: dict[str, Any] = {
            **{key: it for key, it in kwargs.items() if key not in asked},  # of another version: passed on
            "target": target,
            "release": release,
            "artifact": artifact,
            "fence": fence,
            "stage": stage,
            "previous": previous,
            "remind_at": remind_at,
        }

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, for Airflow."""
        _, asked = super().serialize()
        return f"{type(self).__module__}.{type(self).__qualname__}", {**asked, **self.own}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; yields one event."""
        try:
            if self.own["stage"]:
                event = await with_platform(Target.model_validate(self.own["target"]), self._judging)
            else:
                event = await self._asking(None)
        except PlatformError as error:
            event = TriggerEvent(error_event(error))
        yield event

    async def _judging(self, platform: Platform) -> TriggerEvent:
        from release_pipelines.core.progression.watch import StageWatch

        stage = Stage.model_validate(self.own["stage"])
        return await self._asking(StageWatch(release_context(platform, self.own), stage))

    async def _asking(self, watch: StageWatch | None) -> TriggerEvent:
        from release_pipelines.core.progression.waiting import first_of

        return await first_of(self._answer(), self._meanwhile(watch), self._reminder())

    async def _answer(self) -> TriggerEvent:
        await asyncio.sleep(SETTLE_SECONDS)
        try:
            return await anext(aiter(super().run()))
        except AirflowRuntimeError as error:
            if (error.error.detail or {}).get("status_code") != HTTPStatus.NOT_FOUND:
                raise
        return TriggerEvent({"unasked": True})

    async def _reminder(self) -> TriggerEvent:
        at = self.own["remind_at"]
        await asyncio.sleep(math.inf if at is None else max(0.0, at - time.time()))
        return TriggerEvent({"remind": True})

    async def _meanwhile(self, watch: StageWatch | None) -> TriggerEvent:
        from release_pipelines.airflow.commands import commands_of
        from release_pipelines.core.progression.meanwhile import judge_meanwhile

        return TriggerEvent(storable(await judge_meanwhile(watch, commands_of(self.own["release"]))))
