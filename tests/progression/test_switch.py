"""A switch of all traffic is not believed before the new version answers where the traffic enters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from release_pipelines.adapters.routers import traefik
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.stage import Stage
from release_pipelines.features.stage.triggers import StageTrigger
from tests.fakes import GOOD, FakePrometheus, World, artifact, target
from tests.progression.helpers import RELEASE, event, released, stage


class Entry:
    """Where the traffic enters: after so many answers the new version gives them."""

    def __init__(self) -> None:
        self.old_answers = 0
        self.status = 200
        self.url = ""
        self.hosts: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.hosts.append(request.headers["Host"])
        version = "1.0.0" if len(self.hosts) <= self.old_answers else "1.1.0"
        return web.Response(status=self.status, headers={"X-App-Version": version})


@pytest.fixture
async def entry() -> AsyncIterator[Entry]:
    it, app = Entry(), web.Application()
    app.router.add_get("/{path:.*}", it.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield it
    await runner.cleanup()


def bake(entry: Entry, **at_target: Any) -> StageTrigger:
    """All traffic for the preview, asked at the entry."""
    at = target().model_copy(update={"url": entry.url, "host": "shop.localhost", **at_target})
    switched: Stage = stage(name="bake", track="preview", weight=100, last=True, paths=["/", "/cart"])
    return StageTrigger(
        target=to_json(at),
        release=RELEASE,
        artifact=to_json(artifact()),
        fence=1,
        stage=to_json(switched),
        replicas=2,
        previous=to_json(artifact("1.0.0", GOOD)),
    )


async def test_a_switch_that_takes_a_moment_passes(world: World, prometheus: FakePrometheus, entry: Entry) -> None:
    released(world, canary=True, track="preview")
    entry.old_answers = 3
    said = await event(bake(entry))
    assert said["verdict"]["judgement"] == "pass"
    assert len(entry.hosts) > entry.old_answers
    assert set(entry.hosts) == {"shop.localhost"}


async def test_a_switch_has_the_time_that_the_environment_says(
    world: World, prometheus: FakePrometheus, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traefik.ROUTER, "settles_within", 0.0)
    released(world, canary=True, track="preview")
    entry.old_answers = 3
    assert (await event(bake(entry, settles_within=30.0)))["verdict"]["judgement"] == "pass"


@pytest.mark.parametrize(
    ("old_answers", "status", "found"),
    [(10_000, 200, "200 from version 1.0.0"), (0, 502, "502 from version 1.1.0")],
    ids=["still the old version", "a proxy that fails"],
)
async def test_a_switch_that_does_not_take_goes_back(
    world: World,
    prometheus: FakePrometheus,
    entry: Entry,
    monkeypatch: pytest.MonkeyPatch,
    old_answers: int,
    status: int,
    found: str,
) -> None:  # R4, R13
    monkeypatch.setattr(traefik.ROUTER, "settles_within", 0.2)
    released(world, canary=True, track="preview")
    entry.old_answers, entry.status = old_answers, status
    said = await event(bake(entry))
    assert said["verdict"]["judgement"] == "fail"
    assert said["verdict"]["sentence"] == (
        f"the switch did not take: {entry.url}/ gives {found}, 2xx from 1.1.0 is expected"
    )
    assert world.route
    assert world.route.traffic.weight("stable") == 100
