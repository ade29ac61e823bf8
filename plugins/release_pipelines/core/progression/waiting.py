"""How the loops wait for a platform that may be unavailable, and for several things at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from release_pipelines.core.errors import PlatformUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_SECONDS = 1.0
"""Pause before a platform that did not answer is called again, in seconds."""


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Await ``call()``, again and again while the platform is unavailable."""
    while True:
        try:
            return await call()
        except PlatformUnavailable as error:
            log.warning("%s Asking again.", error)
            await asyncio.sleep(RETRY_SECONDS)


async def reached(call: Callable[[], Awaitable[Any]]) -> bool:
    """Await ``call()`` once; False, after a pause, if the platform is unavailable.

    For calls that advance the release: before another try, replicas and commands are looked at again.
    """
    try:
        await call()
    except PlatformUnavailable as error:
        log.warning("%s Looking again.", error)
        await asyncio.sleep(RETRY_SECONDS)
        return False
    return True


async def first_of(*waits: Coroutine[Any, Any, T]) -> T:
    """Result of the coroutine that ends first; the others are cancelled before it is returned or raised."""
    tasks = [asyncio.ensure_future(it) for it in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(it for it in tasks if it in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
