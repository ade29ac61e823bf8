"""A feature that fails where it is used, and something that is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from release_pipelines.spec.feature import Feature, FeatureTask, Key

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


class Grumpy(Feature):
    """Fails for apps that have its key."""

    app_keys = {"grumpy": Key(bool, False)}

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if spec.app.part("grumpy", bool):
            raise KeyError("mood")
        yield from ()


FEATURE = Grumpy()
NUMBER = 3
