"""Preflight: is this release possible, and what is it?"""

from release_pipelines.features.preflight.feature import FEATURE

__all__ = ["FEATURE"]
