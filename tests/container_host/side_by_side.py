"""Scenarios that mostly wait run side by side in one event loop; each is a test with a name and a result of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

AT_ONCE = 8
"""More would only wait for each other on two cores."""
LIMIT_SECONDS = 600.0

Act = Callable[..., Awaitable[None]]


def long_scenario(act: Act) -> Callable[..., None]:
    """A :func:`scenario` that takes as long as all others together: it begins before them."""
    test = scenario(act)
    test.begins_first = True  # type: ignore[attr-defined]
    return test


def scenario(act: Act) -> Callable[..., None]:
    """Make a test of ``act(shop, **parameters)``, which runs beside all others that were selected.

    Meant as the outermost decorator.
    """

    def test(scenarios: dict[str, BaseException | None], request: pytest.FixtureRequest, **_: Any) -> None:
        error = scenarios[request.node.nodeid]
        if error is not None:
            raise error

    parameters = [it for it in inspect.signature(act).parameters.values() if it.name != "shop"]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    own = [inspect.Parameter(name, kind) for name in ("scenarios", "request")]
    test.__signature__ = inspect.Signature([*own, *parameters])  # type: ignore[attr-defined]
    test.__name__, test.__qualname__, test.__module__, test.__doc__ = (
        act.__name__,
        act.__name__,
        act.__module__,
        act.__doc__,
    )
    test.pytestmark = getattr(act, "pytestmark", [])  # type: ignore[attr-defined]
    test.act = act  # type: ignore[attr-defined]
    return test


def selected(session: pytest.Session) -> dict[str, Callable[[Any], Awaitable[None]]]:
    """The scenarios among the tests that are going to run, by node id."""
    found = {}
    for item in sorted(session.items, key=lambda it: not hasattr(getattr(it, "function", None), "begins_first")):
        act = getattr(getattr(item, "function", None), "act", None)
        if act is not None:
            given = item.callspec.params if hasattr(item, "callspec") else {}
            found[item.nodeid] = lambda shop, act=act, given=given: act(shop, **given)
    return found


async def together(
    acts: dict[str, Callable[[Any], Awaitable[None]]], shop: Callable[[], Any]
) -> dict[str, BaseException | None]:
    """Run all of them, each with a shop of its own; what each one raised, by name."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(act: Callable[[Any], Awaitable[None]]) -> BaseException | None:
        async with room:
            try:
                async with asyncio.timeout(LIMIT_SECONDS), shop() as it:
                    await act(it)
            except Exception as error:  # raised again by its own test
                return error
        return None

    results = await asyncio.gather(*(one(act) for act in acts.values()))
    return dict(zip(acts, results, strict=True))
