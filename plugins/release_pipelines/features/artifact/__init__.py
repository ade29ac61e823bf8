"""The artifact: one release, one digest."""

from release_pipelines.features.artifact.feature import FEATURE

__all__ = ["FEATURE"]
