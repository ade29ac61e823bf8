"""The outcome: what a release came to."""

from release_pipelines.features.outcome.feature import FEATURE

__all__ = ["FEATURE"]
