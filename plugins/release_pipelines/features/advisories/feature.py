"""Where advisories are."""

from __future__ import annotations

from release_pipelines.core.model.advisories import AdvisorySources
from release_pipelines.spec.feature import Feature, Key


class AdvisoriesFeature(Feature):
    """The key ``advisories`` of an environment's file: the options of the scanner of images that is called so."""

    environment_keys = {
        "advisories": Key(
            AdvisorySources | None, None, "Where advisories are that the scanner `advisories` looks images up in"
        )
    }


FEATURE = AdvisoriesFeature()
