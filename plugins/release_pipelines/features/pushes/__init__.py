"""Releases that pushes start."""

from release_pipelines.features.pushes.feature import FEATURE

__all__ = ["FEATURE"]
