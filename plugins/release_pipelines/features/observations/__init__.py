"""What runs now is looked at, and kept."""

from release_pipelines.features.observations.feature import FEATURE

__all__ = ["FEATURE"]
