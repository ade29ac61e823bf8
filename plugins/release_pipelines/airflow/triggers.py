"""What all triggers of this package share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.model.target import Target
from release_pipelines.core.ports.platform import Platform

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_SECONDS = 1.0
"""Pause before a platform that does not answer is asked again."""


async def insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Await ``ask()``, again and again while the platform cannot be reached."""
    while True:
        try:
            return await ask()
        except PlatformUnavailable as error:
            log.warning("%s Asking again.", error)
            await asyncio.sleep(RETRY_SECONDS)


async def reached(ask: Callable[[], Awaitable[Any]]) -> bool:
    """Await ``ask()`` once; False, after a pause, when the platform could not be reached.

    For what makes a release go further: what it depends on (replicas, people) is looked at again before it is asked again.
    """
    try:
        await ask()
    except PlatformUnavailable as error:
        log.warning("%s Looking again.", error)
        await asyncio.sleep(RETRY_SECONDS)
        return False
    return True


async def first_of(*waits: Coroutine[Any, Any, T]) -> T:
    """What the first of several waits comes to; the others are ended before it is returned or raised."""
    tasks = [asyncio.ensure_future(it) for it in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(it for it in tasks if it in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def refused(error: PlatformError) -> dict[str, Any]:
    """The event of a wait that the platform ended."""
    return {"error": str(error), "kind": type(error).__name__}


class PlatformTrigger(BaseTrigger):
    """A trigger that watches one app in one environment.

    Its arguments are JSON, its deadlines absolute: :meth:`run` starts over after a triggerer restart and picks up what it
    finds with the workload. A platform that does not answer is asked again; what it refuses ends in an ``error`` event.

    :param target: a :class:`~release_pipelines.core.model.target.Target` as a dict.
    :param kwargs: the arguments of the subclass, kept as :attr:`arguments` and given back by :meth:`serialize`.
    """

    def __init__(self, *, target: dict[str, Any], **kwargs: Any) -> None:
        super().__init__()
        self.target = Target.model_validate(target)
        self.arguments = {"target": target, **kwargs}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, for Airflow."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self.arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch until there is something to say; yields one event."""
        try:
            async with await PlatformHook(self.target).aplatform() as platform:
                event = await self.watch(platform)
        except PlatformError as error:
            event = refused(error)
        yield TriggerEvent(event)

    async def watch(self, platform: Platform) -> dict[str, Any]:
        """What the subclass waits for; returns the event's payload (JSON)."""
        raise NotImplementedError
