"""Whether what a release would go back to is still whole."""

from release_pipelines.features.way_back.feature import FEATURE

__all__ = ["FEATURE"]
