"""A release in the middle of its work, and triggers for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from airflow.triggers.base import BaseTrigger

from release_pipelines.domain.values import Lease, Route, RouteNote, to_json
from release_pipelines.triggers.canary import CanaryTrigger
from release_pipelines.triggers.promote import PromoteTrigger
from tests.fakes import GOOD, NEW, World, artifact, target

RELEASE = "release_shop/run#0"
ANALYSIS: dict[str, Any] = {
    "interval": 0.05,
    "window": 1,
    "patience": 0.1,
    "metrics": [{"name": "errors", "source": "errors", "limit": 0.01}],
}


def released(world: World, *, canary: bool = False, weight: int = 0, step: str = "deployed") -> World:
    """The world when ``RELEASE`` holds the lease, its canary deployed or not."""
    world.fence = 1
    world.lease = Lease(holder=RELEASE, fence=1, expires_at=time.time() + 60)
    if canary:
        world.runs("canary", artifact(), 1)
    note = RouteNote(release=RELEASE, step=step, weight=weight, last_good=artifact("1.0.0", GOOD))
    world.route = Route(weights={"stable": 100 - weight, "canary": weight}, fence=1, note=note)
    return world


def step(analysis: dict[str, Any] | None = None, **changed: Any) -> CanaryTrigger:
    """The step ``step_10``."""
    given: dict[str, Any] = {
        "target": to_json(target()),
        "release": RELEASE,
        "artifact": to_json(artifact()),
        "fence": 1,
        "step": "step_10",
        "weight": 10,
        "replicas": 1,
        "hold": 0.2,
        "analysis": {**ANALYSIS, **(analysis or {})},
    }
    return CanaryTrigger(**{**given, **changed})


def promotion(**changed: Any) -> PromoteTrigger:
    """The promotion of 1.1.0."""
    given: dict[str, Any] = {
        "target": to_json(target()),
        "release": RELEASE,
        "artifact": to_json(artifact()),
        "fence": 1,
        "return_weights": [50],
        "retire_after": 0.05,
    }
    return PromoteTrigger(**{**given, **changed})


def again(trigger: BaseTrigger) -> Any:
    """What another triggerer makes of the trigger."""
    _, arguments = trigger.serialize()
    return type(trigger)(**arguments)


async def event(trigger: BaseTrigger) -> dict[str, Any]:
    """The payload of the trigger's one event."""
    events = [it async for it in trigger.run()]
    assert len(events) == 1
    return events[0].payload  # type: ignore[no-any-return]


def digests(world: World) -> dict[str, str | None]:
    """Digest by track."""
    return {track: status.digest for track, status in world.tracks.items()}


PROMOTED = {"stable": NEW}


class Killed(BaseException):
    """A triggerer dies, here: nothing after this happens."""


def dies_at(world: World, number: int, *, after: bool) -> None:
    """Let the triggerer die at its ``number``-th call of the platform, before or after it took effect."""
    left = [number]

    def count(call: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    if after:
        world.after = count
    else:
        world.before = count


async def run_with_a_crash(world: World, trigger: Any, number: int, *, after: bool) -> dict[str, Any]:
    """Die once, start again from the trigger's arguments, and see it through."""
    dies_at(world, number, after=after)
    try:
        said = await event(trigger)
    except Killed:
        world.before = world.after = lambda call: None
        said = await asyncio.wait_for(event(again(trigger)), 10)
    return said


async def until(true: Callable[[], bool], seconds: float = 5) -> None:
    """Wait until ``true()``."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.005)
