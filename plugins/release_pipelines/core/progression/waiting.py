"""How the loops wait for a platform that may be unavailable, and for several things at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, TypeVar

from release_pipelines.core.errors import PlatformUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_SECONDS = 1.0
"""Pause before a platform that did not answer is called again, in seconds."""
CANCEL_SECONDS = 5.0
"""Time in which what is cancelled ends, in seconds; then it is cancelled again."""


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
        await ended(tasks)


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Result of the coroutine, which is cancelled when it takes longer.

    Not ``asyncio.wait_for``: before Python 3.12 it loses a cancellation that comes together with what it waits for.

    :raises asyncio.TimeoutError: when it takes longer.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            raise asyncio.TimeoutError
        return task.result()
    finally:
        await ended([task])


async def ended(tasks: Collection[asyncio.Future[Any]]) -> None:
    """Cancel tasks until they have ended: libraries that they wait with lose a cancellation now and then, and a loop would go on."""
    while left := [it for it in tasks if not it.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=CANCEL_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # of no interest any more
