"""What a platform has to keep to, as tests that an implementation of somebody else can run as well.

A subclass says in a fixture what is tested, and pytest does the rest::

    class TestAcme(PlatformContract):
        @pytest.fixture
        async def place(self) -> AsyncIterator[Place]:
            async with AcmePlatform("https://acme.test") as platform:
                yield Place(platform, target, old, new, broken)

Needs pytest and pytest-asyncio. Nothing else of this package imports it.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("release_pipelines.testing.platform")

from release_pipelines.testing.platform import Place, PlatformContract

__all__ = ["Place", "PlatformContract"]
