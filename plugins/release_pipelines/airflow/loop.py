"""One background event loop per process: operators are synchronous, platforms are not.

Not ``asyncio.run``: Airflow calls ``on_kill`` from a signal handler on the main thread, which must still be able to
speak to the platform while the main thread waits here.
"""

from __future__ import annotations

import asyncio
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
        for other in [it for it in kept if it.is_closed()]:
            del kept[other]
        kept[loop] = make()
    return kept[loop]


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="release-pipelines-loop", daemon=True).start()
    return loop


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` on the process' background loop and return what it returns."""
    return asyncio.run_coroutine_threadsafe(work, _loop()).result()
