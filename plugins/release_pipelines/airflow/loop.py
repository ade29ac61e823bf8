"""One background event loop per process: operators are synchronous, platforms are not.

Not ``asyncio.run``: Airflow calls ``on_kill`` from a signal handler on the main thread, which must still be able to
speak to the platform while the main thread waits here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="release-pipelines-loop", daemon=True).start()
    return loop


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` on the process' background loop and return what it returns."""
    return asyncio.run_coroutine_threadsafe(work, _loop()).result()
