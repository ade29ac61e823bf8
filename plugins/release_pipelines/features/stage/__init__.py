"""Stages: traffic for the new version, and a verdict about it."""

from release_pipelines.features.stage.feature import FEATURE

__all__ = ["FEATURE"]
