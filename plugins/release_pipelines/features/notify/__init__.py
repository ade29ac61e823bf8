"""Notices of a release's outcome."""

from release_pipelines.features.notify.feature import FEATURE

__all__ = ["FEATURE"]
