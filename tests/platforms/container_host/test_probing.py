"""A replica that is slow to answer is not taken for one that is dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from release_pipelines.platforms.container_host import replicas
from release_pipelines.platforms.container_host.replicas import Prober
from release_pipelines.spec.models import WorkloadSpec

WORKLOAD = WorkloadSpec(name="shop")


@pytest.fixture
async def busy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A replica that does not answer its first request."""
    monkeypatch.setattr(replicas, "PROBE_SECONDS", 0.2)
    asked = []

    async def health(_: web.Request) -> web.Response:
        asked.append(1)
        if len(asked) == 1:
            await asyncio.Event().wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/health", health)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_replica_that_serves_is_asked_once_more_when_it_is_late(busy: str) -> None:  # R5
    prober = Prober()
    assert await prober.any_ready([busy], WORKLOAD)
    await prober.close()


async def test_a_replica_that_does_not_serve_yet_has_to_answer_in_time(busy: str) -> None:  # R7
    prober = Prober()
    assert "does not answer /health" in (await prober.trouble(busy, WORKLOAD) or "")
    await prober.close()
