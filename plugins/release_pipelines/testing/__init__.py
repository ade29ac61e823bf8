"""What a platform and a router have to keep to, as tests that an implementation of somebody else can run as well.

A subclass says in a fixture what is tested, and pytest does the rest::

    class TestAcme(PlatformContract):
        @pytest.fixture
        async def place(self) -> AsyncIterator[Place]:
            async with AcmePlatform("https://acme.test") as platform:
                yield Place(platform, target, old, new, broken)

Needs pytest, pytest-asyncio and hypothesis: the extra ``testing``. Nothing else of this package imports it.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("release_pipelines.testing.platform", "release_pipelines.testing.router")

from release_pipelines.testing.platform import Place, PlatformContract
from release_pipelines.testing.router import KubernetesBench, RouterBench, RouterContract

__all__ = ["KubernetesBench", "Place", "PlatformContract", "RouterBench", "RouterContract"]
