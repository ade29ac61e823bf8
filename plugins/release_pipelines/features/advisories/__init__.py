"""Advisories: known flaws of what an image is made of."""

from release_pipelines.features.advisories.feature import FEATURE

__all__ = ["FEATURE"]
