"""A release at every place where it can be, with its heartbeat, and what each control does there (R6, R18).

The tests look at what the controls do; the benchmark measures how long they take with the pauses of production.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.triggers.base import BaseTrigger

from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import share_with
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.features.approval.triggers import ReleaseApprovalTrigger
from release_pipelines.features.checks.triggers import CheckTrigger
from release_pipelines.features.lease.triggers import HoldLeaseTrigger
from tests.fakes import GOOD, NEW, FakePrometheus, World, artifact, target
from tests.progression.helpers import RELEASE, command, effect, event, promotion, released, splits, stage, step, until

LONG = 600.0
"""A hold that does not end by itself."""
TESTERS = {"kind": "header", "name": "x-tester", "value": "yes"}

Effect = Callable[["Scene"], bool]


@dataclass
class Scene:
    """A release that is somewhere, under way.

    :param begin: puts the world where the release is, and makes the trigger that works for it; None: none does.
    :param there: whether it has come there.
    :param effects: what shows that a control has taken effect, beside its record; a control that is not named is only recorded.
    """

    name: str
    begin: Callable[[World, FakePrometheus], BaseTrigger | None]
    there: Effect
    effects: dict[str, Effect] = field(default_factory=dict)
    world: World = field(init=False)
    work: asyncio.Task[dict[str, Any]] | None = field(init=False, default=None)
    splits_at_pause: int = field(init=False, default=0)

    @property
    def event(self) -> dict[str, Any]:
        """What the trigger ended with."""
        assert self.work is not None
        return self.work.result()

    @property
    def ended(self) -> bool:
        """Whether the trigger has ended."""
        return self.work is not None and self.work.done()

    @asynccontextmanager
    async def played(self, world: World, prometheus: FakePrometheus) -> AsyncIterator[Scene]:
        """The release comes to this place, and stays there."""
        self.world = world
        trigger = self.begin(world, prometheus)
        assert world.lease
        beats = HoldLeaseTrigger(target=to_json(target()), lease=to_json(world.lease), ttl=LONG)
        heartbeat = asyncio.create_task(event(beats))
        self.work = asyncio.create_task(event(trigger)) if trigger else None
        try:
            await until(lambda: self.there(self) or self.ended, 20)
            assert not self.ended, f"{self.name} ended: {self.event}"
            yield self
        finally:
            tasks = [it for it in (self.work, heartbeat) if it]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def give(self, kind: str, seconds: float = 20) -> tuple[float, int]:
        """Give a command; returns the seconds until it has its effect and is answered, and its number."""
        if kind == "resume":
            _, paused = await self.give("pause")
            assert effect(paused)
        number, given = await asyncio.to_thread(command, kind), time.monotonic()
        done = self.effects.get(kind, lambda _: True)
        while not done(self):
            assert time.monotonic() < given + seconds, f"{self.name}: {kind} has no effect"
            await asyncio.sleep(0.005)
        took = time.monotonic() - given
        while not await asyncio.to_thread(effect, number):
            assert time.monotonic() < given + seconds, f"{self.name}: {kind} is not answered"
            await asyncio.sleep(0.005)
            if kind not in self.effects:
                took = time.monotonic() - given
        return took, number


# --- what shows that a control has taken effect -------------------------------------------------------------------


def back(scene: Scene) -> bool:
    """All traffic is on stable again, and the new version gets none in any other way."""
    route = scene.world.route
    return route is not None and route.traffic.same(share_with("stable", 0))


def old_on_stable(scene: Scene) -> bool:
    """The old version is stated on stable again."""
    return scene.world.tracks["stable"].digest == GOOD


def passed(scene: Scene) -> bool:
    """The stage has ended, as passed."""
    return scene.ended and scene.event["verdict"]["judgement"] == "pass"


HOLD: dict[str, Effect] = {
    "pause": lambda scene: scene.world.note.paused_at is not None,
    "resume": lambda scene: scene.world.note.paused_at is None,
    "skip": passed,
    "promote": passed,
    "abort": back,
}
ROLLING = {**HOLD, "abort": old_on_stable}


# --- places -------------------------------------------------------------------------------------------------------


def _capacity(world: World, _: FakePrometheus) -> BaseTrigger:
    released(world)
    world.slow.add("canary")
    return step(hold=LONG)


def _hold(**changed: Any) -> Callable[[World, FakePrometheus], BaseTrigger]:
    def begin(world: World, _: FakePrometheus) -> BaseTrigger:
        track: Track = changed.get("track", "canary")
        if track == "stable":
            released(world)
        else:
            released(world, canary=True, track=track)
        return step(hold=LONG, **changed)

    return begin


def _clock_runs(scene: Scene) -> bool:
    return scene.world.note.started_at is not None


def after_a_stage(world: World, track: Track, weight: int, name: str) -> Stage:
    """A stage has passed, and its traffic stays."""
    released(world, canary=True, track=track, weight=weight, step=name)
    assert world.route
    verdict = Verdict(judgement="pass", decided_at=time.time(), step=name, weight=weight, sentence="all was well")
    note = world.note.model_copy(update={"started_at": time.time() - 1, "verdict": verdict})
    world.route = world.route.model_copy(update={"note": RouteNote.model_validate(note.model_dump())})
    return stage(name=name, weight=weight, track=track)


def _between(world: World, _: FakePrometheus) -> None:
    after_a_stage(world, "canary", 10, "step_10")


def _watched(world: World) -> dict[str, Any]:
    watched = stage() if world.route is None and world.lease else after_a_stage(world, "canary", 10, "step_10")
    good = to_json(artifact("1.0.0", GOOD))
    return {
        "target": to_json(target()),
        "release": RELEASE,
        "artifact": to_json(artifact()),
        "fence": 1,
        "stage": to_json(watched),
        "previous": good,
    }


def check(world: World) -> CheckTrigger:
    """A command runs while the canary has 10 %."""
    world.run_seconds = LONG
    return CheckTrigger(image="shop", command=["check"], env={}, timeout=LONG, **_watched(world))


def question(world: World, **changed: Any) -> ReleaseApprovalTrigger:
    """A person is asked while the canary has 10 %."""
    asked = {
        "ti_id": "00000000-0000-0000-0000-000000000000",
        "options": ["Approve", "Reject"],
        "params": {},
        "timeout_datetime": datetime.now(timezone.utc) + timedelta(hours=1),
    }
    return ReleaseApprovalTrigger(**{**asked, **_watched(world), **changed})


def _promotion(**changed: Any) -> Callable[[World, FakePrometheus], BaseTrigger]:
    def begin(world: World, _: FakePrometheus) -> BaseTrigger:
        track: Track = changed.get("track", "canary")
        after_a_stage(world, track, 100, "bake")
        if changed.pop("slow", False):
            world.slow.add("stable")
        return promotion(**changed)

    return begin


def _batch(world: World, _: FakePrometheus) -> BaseTrigger:
    released(world)
    world.slow.add("stable")
    return step(name="batch_50", track="stable", share=50, hold=LONG)


def _asks_a_person(world: World, prometheus: FakePrometheus) -> BaseTrigger:
    released(world, canary=True)
    prometheus.bad = 0.3
    return step(hold=LONG, wait_for_person=True)


def _returns(scene: Scene) -> bool:
    return any(it.weight("canary") < 100 for it in splits(scene.world))


def _stable_new(scene: Scene) -> bool:
    return scene.world.tracks["stable"].digest == NEW


FALLING = list(range(99, 0, -1))


def scenes() -> list[Scene]:
    """Every place where a release can be in production."""
    full = {"weights": {"stable": 100, "canary": 0}}
    testers, mirror = {**full, "testers": TESTERS}, {**full, "mirror": 20}
    promoting: dict[str, Effect] = {"abort": old_on_stable}
    return [
        Scene("capacity is raised", _capacity, lambda it: "advance" in it.world.calls, {"abort": lambda it: it.ended}),
        Scene("hold with testers", _hold(name="testers_1", traffic=testers), _clock_runs, HOLD),
        Scene("hold with a mirror", _hold(name="mirror_1", traffic=mirror), _clock_runs, HOLD),
        Scene("hold at a weight", _hold(), _clock_runs, HOLD),
        Scene("bake", _hold(name="bake", weight=100, last=True), _clock_runs, HOLD),
        Scene("bake of a preview", _hold(name="bake", weight=100, track="preview", last=True), _clock_runs, HOLD),
        Scene("rolling, a batch is replaced", _batch, lambda it: "advance" in it.world.calls, promoting),
        Scene("rolling, hold after a batch", _hold(name="batch_50", track="stable", share=50), _clock_runs, ROLLING),
        Scene("between two stages", _between, lambda it: "renew_lease" in it.world.calls, {"abort": back}),
        Scene("a check runs", lambda world, _: check(world), lambda it: "run" in it.world.calls, {"abort": back}),
        Scene(
            "a person is asked",
            lambda world, _: question(world),
            lambda it: "observe" in it.world.calls,
            {"abort": back},
        ),
        Scene(
            "waiting for a person",
            _asks_a_person,
            lambda it: it.world.note.verdict is not None,
            {"skip": passed, "promote": passed, "abort": lambda it: it.ended},
        ),
        Scene(
            "promotion, old version kept",
            _promotion(track="preview", keep_old=LONG, return_weights=[]),
            lambda it: "observe" in it.world.calls,
            {"promote": _stable_new, "abort": back},
        ),
        Scene("promotion, stable is rolled", _promotion(slow=True), _stable_new, promoting),
        Scene("promotion, traffic returns", _promotion(return_weights=FALLING), _returns, promoting),
        Scene(
            "promotion, the track drains",
            _promotion(return_weights=[], retire_after=LONG),
            lambda it: _returns(it) and it.world.weight == 0,
            promoting,
        ),
    ]
