"""A release in the middle of its work, and triggers for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from airflow.triggers.base import BaseTrigger

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import Traffic, share_with
from release_pipelines.features.promotion.triggers import PromoteTrigger
from release_pipelines.features.stage.triggers import StageTrigger
from tests.fakes import GOOD, NEW, World, artifact, target

RELEASE = "release_shop/run#0"
ANALYSIS: dict[str, Any] = {
    "judge": "threshold",
    "interval": 0.05,
    "window": 1,
    "patience": 0.1,
    "metrics": [{"name": "errors", "source": "errors", "limit": 0.01}],
}


def released(
    world: World, *, canary: bool = False, weight: int = 0, step: str = "deployed", track: Track = "canary"
) -> World:
    """The world when ``RELEASE`` holds the lease, its new version deployed beside stable or not."""
    world.fence = 1
    world.lease = Lease(holder=RELEASE, fence=1, expires_at=time.time() + 60)
    if canary:
        world.runs(track, artifact(), 1)
    traffic = share_with(track, weight)
    note = RouteNote(release=RELEASE, step=step, traffic=traffic, last_good=artifact("1.0.0", GOOD))
    world.route = Route(traffic=traffic, fence=1, note=note)
    return world


def stage(
    name: str = "step_10",
    weight: int = 10,
    hold: Any = 0.2,
    track: Track = "canary",
    analysis: dict[str, Any] | None = None,
    **changed: Any,
) -> Stage:
    """A stage; on stable it is a batch of a rolling release."""
    given: dict[str, Any] = {
        "name": name,
        "track": track,
        "traffic": None if track == "stable" else share_with(track, weight),
        "hold": hold,
        "analysis": {**ANALYSIS, **(analysis or {})},
    }
    return Stage.model_validate({**given, **changed})


def step(replicas: int = 1, previous: Any = None, **changed: Any) -> StageTrigger:
    """The trigger of a stage; ``step_10`` unless it is changed."""
    return StageTrigger(
        target=to_json(target()),
        release=RELEASE,
        artifact=to_json(artifact()),
        fence=1,
        stage=to_json(stage(**changed)),
        replicas=replicas,
        previous=to_json(previous or artifact("1.0.0", GOOD)),
    )


def promotion(**changed: Any) -> PromoteTrigger:
    """The promotion of 1.1.0."""
    given: dict[str, Any] = {
        "target": to_json(target()),
        "release": RELEASE,
        "artifact": to_json(artifact()),
        "fence": 1,
        "track": "canary",
        "return_weights": [50],
        "keep_old": 0.0,
        "retire_after": 0.05,
        "previous": to_json(artifact("1.0.0", GOOD)),
    }
    return PromoteTrigger(**{**given, **changed})


def command(kind: Any, by: str = "bob", reason: str | None = "enough seen") -> int:
    """A person tells the release to do something; returns the command's id."""
    history = HistoryHook().history()
    history.begin(RELEASE, "shop", "release_shop", "run", "1.1.0", "alice")
    return history.command(RELEASE, kind, by, reason).id


def command_at(world: World, weight: int, kind: Any, reason: str = "enough seen") -> None:
    """Let a person tell it when the canary gets so much: in that moment, so that no hold ends before it on a slow machine."""

    def tell(call: str) -> None:
        if call == "split" and world.weight == weight:
            world.after = lambda call: None
            command(kind, reason=reason)

    world.after = tell


def effect(number: int) -> str | None:
    """What the command did, as far as that is said yet."""
    return next(it.effect for it in HistoryHook().history().commands(RELEASE) if it.id == number)


def splits(world: World) -> list[Traffic]:
    """Every accepted split, in order."""
    return [what[0] for call, what in world.writes if call == "split"]


def weights(world: World, track: Track = "canary") -> list[int]:
    """A track's weights in the order in which they were accepted."""
    return [it.weight(track) for it in splits(world)]


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
        said = await asyncio.wait_for(event(again(trigger)), 60)
    return said


async def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until ``true()``."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.005)
