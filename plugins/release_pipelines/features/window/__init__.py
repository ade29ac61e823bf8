"""Windows: a release changes an environment only while its calendars are open."""

from release_pipelines.features.window.feature import FEATURE

__all__ = ["FEATURE"]
