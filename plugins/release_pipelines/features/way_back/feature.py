"""Before a release: is the version that it would go back to still whole in the registry (R8)?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from release_pipelines.features.way_back.spec import WayBackSpec
from release_pipelines.spec.feature import Feature, Key, Mistake, Problem, in_environment

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


class WayBackFeature(Feature):
    """One look in preflight. Cleaners of registries take the images of an index, which no tag names, and leave the index."""

    environment_keys = {
        "way_back": Key(
            WayBackSpec | Literal["warn", "demand"] | None,
            description="Whether what the release would go back to must be whole in the registry: `warn` or `demand`, "
            "or a mapping that also names `platforms`",
        )
    }

    def mistakes(self, spec: ReleaseSpec) -> Iterator[Mistake]:
        for it in _asked(spec).platforms:
            if it.count("/") not in (1, 2) or not all(it.split("/")):
                yield Mistake(
                    in_environment(spec.production.name, "way_back.platforms"), f"`{it}`", "platforms like linux/amd64"
                )

    def preflight(self, spec: ReleaseSpec) -> Iterator[Problem]:
        """Where the way back is demanded, not to know is not enough."""
        if _asked(spec).missing == "demand":
            from release_pipelines.airflow.way_back import obstacle

            if why := obstacle(spec, _asked(spec).names(), unknown_too=True):
                yield Problem(f"{why}.", urgent=True)

    def remarks(self, spec: ReleaseSpec) -> Iterator[str]:
        from release_pipelines.airflow.way_back import obstacle

        if why := obstacle(spec, _asked(spec).names()):
            yield why


def _asked(spec: ReleaseSpec) -> WayBackSpec:
    given = getattr(spec.production, "way_back", None)
    if isinstance(given, WayBackSpec):
        return given
    return WayBackSpec(missing=given or "warn")


FEATURE = WayBackFeature()
