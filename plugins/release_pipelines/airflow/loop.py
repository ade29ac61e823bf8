"""One background event loop per process: operators are synchronous, platforms are not.

Not ``asyncio.run``: Airflow calls ``on_kill`` from a signal handler on the main thread, which must still be able to
speak to the platform while the main thread waits here.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def of_this_loop(kept: dict[asyncio.AbstractEventLoop, T], make: Callable[[], T]) -> T:
    """What belongs to the running event loop, made when it is asked for first; that of loops which have ended is forgotten.

    :param kept: by their loops.
    """
    loop = asyncio.get_running_loop()
    if loop not in kept:
        for other in [it for it in list(kept) if it.is_closed()]:
            kept.pop(other, None)
        kept[loop] = make()
    return kept[loop]


_making = threading.RLock()  # a signal handler may ask while its own thread does
"""Two threads that ask first would make two loops, each with half of what a loop's callers share."""


def _loop() -> asyncio.AbstractEventLoop:
    with _making:
        return _made()


@cache
def _made() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="release-pipelines-loop", daemon=True).start()
    return loop


os.register_at_fork(after_in_child=_made.cache_clear)  # the loop's thread is its parent's


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` on the process' background loop and return what it returns."""
    return asyncio.run_coroutine_threadsafe(work, _loop()).result()
