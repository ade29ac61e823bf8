"""The background event loop of a process."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from release_pipelines.airflow import loop


async def here() -> int:
    return id(asyncio.get_running_loop())


def test_threads_that_ask_first_at_the_same_time_get_one_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    make = asyncio.new_event_loop

    def slowly() -> asyncio.AbstractEventLoop:
        time.sleep(0.05)
        return make()

    loop._made.cache_clear()
    monkeypatch.setattr(asyncio, "new_event_loop", slowly)
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: loop.run(here()), range(8)))) == 1


def test_a_forked_process_has_a_loop_of_its_own() -> None:
    loop.run(here())
    child = multiprocessing.get_context("fork").Process(target=lambda: loop.run(here()))
    child.start()
    child.join(20)
    try:
        assert child.exitcode == 0
    finally:
        child.kill()
