"""Scenarios that mostly wait run side by side in one event loop; each is a test with a name and a result of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest

AT_ONCE = 8
"""More would only wait for each other on two cores."""
LIMIT_SECONDS = 840.0
PLACES = ("shop", "world", "image")

Act = Callable[..., Awaitable[None]]


def long_scenario(act: Act) -> Callable[..., None]:
    """A :func:`scenario` that takes as long as all others together: it begins before them."""
    test = scenario(act)
    test.begins_first = True  # type: ignore[attr-defined]
    return test


def scenario(act: Act) -> Callable[..., None]:
    """Make a test of a coroutine function, which runs beside all others that were selected.

    Meant as the outermost decorator. What it needs of :data:`PLACES` it gets for itself alone; its other arguments are parameters.
    """

    def test(scenarios: dict[str, BaseException | None], request: pytest.FixtureRequest, **_: Any) -> None:
        error = scenarios[request.node.nodeid]
        if error is not None:
            raise error

    parameters = [it for it in inspect.signature(act).parameters.values() if it.name not in PLACES]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    own = [inspect.Parameter(name, kind) for name in ("scenarios", "request")]
    test.__signature__ = inspect.Signature([*own, *parameters])  # type: ignore[attr-defined]
    test.__name__, test.__qualname__, test.__module__ = act.__name__, act.__name__, act.__module__
    test.pytestmark = getattr(act, "pytestmark", [])  # type: ignore[attr-defined]
    test.act = act  # type: ignore[attr-defined]
    return test


def selected(session: pytest.Session) -> dict[str, partial[Awaitable[None]]]:
    """The scenarios among the tests that are going to run, by node id, with their parameters."""
    found = {}
    for item in sorted(session.items, key=lambda it: not hasattr(getattr(it, "function", None), "begins_first")):
        act = getattr(getattr(item, "function", None), "act", None)
        if act is not None:
            found[item.nodeid] = partial(act, **(item.callspec.params if hasattr(item, "callspec") else {}))
    return found


async def together(
    acts: dict[str, partial[Awaitable[None]]], places: dict[str, Callable[[], Any]]
) -> dict[str, BaseException | None]:
    """Run all of them; what each one raised, by name.

    :param places: for each name of :data:`PLACES` what makes a context of it.
    """
    room = asyncio.Semaphore(AT_ONCE)

    async def one(act: partial[Awaitable[None]]) -> BaseException | None:
        needed = [it for it in inspect.signature(act.func).parameters if it in places]
        async with room:
            try:
                async with asyncio.timeout(LIMIT_SECONDS), AsyncExitStack() as opened:
                    given = {it: await opened.enter_async_context(places[it]()) for it in needed}
                    await act(**given)
            except Exception as error:  # raised again by its own test
                return error
        return None

    results = await asyncio.gather(*(one(act) for act in acts.values()))
    return dict(zip(acts, results, strict=True))
