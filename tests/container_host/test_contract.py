"""The container host keeps to what every platform has to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from release_pipelines.testing.platform import Place, PlatformContract
from tests.container_host import shops
from tests.container_host.side_by_side import scenario
from tests.container_host.worlds import World


def _scenario(name: str) -> Callable[..., None]:
    async def act(world: World, image: Any) -> None:
        await world.platform.give_back_lease(world.target, world.lease)
        # A note keeps a good version of the app itself only.
        images = (image(shops.OLD), image(shops.NEW), image("1.2.0", "crash"))
        old, new, broken = (it.model_copy(update={"app": world.target.app}) for it in images)
        await getattr(PlatformContract(), name)(Place(world.platform, world.target, old, new, broken))

    act.__name__, act.__module__ = name, __name__
    return scenario(act)


globals().update({it: _scenario(it) for it in dir(PlatformContract) if it.startswith("test_")})
