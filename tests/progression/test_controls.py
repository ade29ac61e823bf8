"""Every control of people at every place where a release can be: what it does, and that it is recorded with the name."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from airflow.providers.standard.triggers.hitl import HITLTrigger

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.command import COMMAND_KINDS
from tests.fakes import FakePrometheus, World
from tests.progression.helpers import RELEASE, effect, splits, until
from tests.progression.scenes import scenes

PLACES = [it.name for it in scenes()]


@pytest.fixture(autouse=True)
def _nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_: Any) -> None:
        return None

    monkeypatch.setattr(HITLTrigger, "_handle_response", nothing)


@pytest.mark.parametrize("kind", COMMAND_KINDS)
@pytest.mark.parametrize("place", PLACES)
async def test_a_control_has_its_effect_and_is_recorded_with_the_name(
    world: World, prometheus: FakePrometheus, place: str, kind: str
) -> None:  # R6, R18
    scene = next(it for it in scenes() if it.name == place)
    async with scene.played(world, prometheus):
        _, number = await scene.give(kind)
        said = effect(number)
        assert said
        told = [it.sentence for it in HistoryHook().history().release(RELEASE).events if it.kind == "control"]
        assert f"{kind} by bob (enough seen): {said}" in told
        if kind == "abort" and place != "between two stages":
            await until(lambda: scene.ended)
            assert scene.event["aborted"] == {"by": "bob", "reason": "enough seen"}
        if kind == "pause":
            before = len(splits(world))
            await asyncio.sleep(0.15)
            assert len(splits(world)) == before, "the traffic changes while it is paused"
            assert not scene.ended
