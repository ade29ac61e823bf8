"""The platform in memory, which the tests of operators and triggers have, is a platform like the others."""

from __future__ import annotations

import pytest

from release_pipelines.testing.platform import Place, PlatformContract
from tests.fakes import GOOD, World, artifact, target

BROKEN = "sha256:" + "c" * 64


class TestFake(PlatformContract):
    @pytest.fixture
    def place(self) -> Place:
        world = World()
        world.broken[BROKEN] = "1.2.0 keeps ending: exit code 3"
        return Place(
            world.platform(),
            target(),
            artifact("1.0.0", GOOD),
            artifact("1.1.0"),
            artifact("1.2.0", BROKEN),
            patience=5,
        )
