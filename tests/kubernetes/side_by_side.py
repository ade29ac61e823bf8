"""Tests that mostly wait run side by side: each is a scenario in a namespace of its own, and its test waits for its end.

All scenarios that were chosen begin when the first of their tests does, a few at a time, in the loop of the stack.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import nullcontext
from typing import Any

import pytest

from tests.kubernetes.stack import Stack
from tests.kubernetes.world import opened_world

AT_ONCE = 4
"""Scenarios that run at the same time, beside the long ones."""
LIMIT_SECONDS = 1200.0
"""A scenario that comes to no end fails, and lets the others go on."""

Scenario = Callable[..., Coroutine[Any, Any, None]]


def side_by_side(scenario: Scenario | None = None, *, long: bool = False) -> Any:
    """Make a test of an async function whose first argument is a :class:`World`; its others are pytest's parameters.

    :param long: it begins at once, and does not wait for others.
    """
    if scenario is None:
        return functools.partial(side_by_side, long=long)

    @functools.wraps(scenario)
    def test(scenarios: Scenarios, request: pytest.FixtureRequest, **given: Any) -> None:
        scenarios.ended(request.node.nodeid)

    parameters = list(inspect.signature(scenario).parameters.values())[1:]
    own = [inspect.Parameter(it, inspect.Parameter.KEYWORD_ONLY) for it in ("scenarios", "request")]
    given = [it.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=Any) for it in parameters]
    test.__signature__ = inspect.Signature([*own, *given])  # type: ignore[attr-defined]
    test.scenario, test.long = scenario, long  # type: ignore[attr-defined]
    return test


class Scenarios:
    """What was begun, by test."""

    def __init__(self, stack: Stack, items: list[pytest.Item]) -> None:
        self.stack = stack
        self.room = asyncio.Semaphore(AT_ONCE)
        chosen = [item for item in items if hasattr(getattr(item, "function", None), "scenario")]
        chosen = [item for item in chosen if not any(mark.args[0] for mark in item.iter_markers("skipif"))]
        chosen.sort(key=lambda item: not item.function.long)  # type: ignore[attr-defined]
        self.begun: dict[str, Future[None]] = {item.nodeid: stack.begin(self._run(item)) for item in chosen}

    async def _run(self, item: Any) -> None:
        arguments = item.callspec.params if hasattr(item, "callspec") else {}
        async with nullcontext() if item.function.long else self.room, opened_world(self.stack) as world:
            async with asyncio.timeout(LIMIT_SECONDS):
                await item.function.scenario(world, **arguments)

    def ended(self, test: str) -> None:
        """Wait for a scenario; raises what it raised."""
        self.begun[test].result()
