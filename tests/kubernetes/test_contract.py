"""A cluster keeps to what every platform has to."""

from __future__ import annotations

from typing import Any

from release_pipelines.testing.platform import Place, PlatformContract
from tests.kubernetes.side_by_side import side_by_side
from tests.kubernetes.world import World


def _scenario(name: str) -> Any:
    async def scenario(world: World) -> None:
        old, new, broken = world.artifact("1.0.0"), world.artifact("1.1.0"), world.broken("crash")
        await getattr(PlatformContract(), name)(Place(world.platform, world.target(), old, new, broken))

    scenario.__name__, scenario.__module__ = name, __name__
    return side_by_side(scenario)


globals().update({it: _scenario(it) for it in dir(PlatformContract) if it.startswith("test_")})
