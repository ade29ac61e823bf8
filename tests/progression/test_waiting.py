"""How loops wait for several things at once, and for a while."""

from __future__ import annotations

import asyncio

import pytest

from release_pipelines.core.progression import waiting
from release_pipelines.core.progression.waiting import first_of, within


async def test_what_loses_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "CANCEL_SECONDS", 0.01)
    heard = 0

    async def deaf() -> str:
        nonlocal heard
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                heard += 1
                if heard == 3:
                    raise

    async def quick() -> str:
        return "first"

    assert await first_of(deaf(), quick()) == "first"
    assert heard == 3


async def test_a_cancellation_that_comes_together_with_the_result_is_not_lost() -> None:
    there, went_on = asyncio.Event(), False

    async def whoever_waits() -> None:
        nonlocal went_on
        await within(3600, there.wait())
        went_on = True

    task = asyncio.ensure_future(whoever_waits())
    for _ in range(3):
        await asyncio.sleep(0)
    there.set()
    await asyncio.sleep(0)  # what it waits for has ended, and it does not know yet
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not went_on


async def test_what_takes_too_long_has_ended_when_that_is_said() -> None:
    ended = False

    async def slow() -> None:
        nonlocal ended
        try:
            await asyncio.sleep(3600)
        finally:
            ended = True

    with pytest.raises(asyncio.TimeoutError):
        await within(0.01, slow())
    assert ended


async def test_an_error_of_what_is_waited_for_is_raised() -> None:
    async def failing() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await within(3600, failing())
