"""Build: from a version to an image; or an image that was built elsewhere."""

from release_pipelines.features.build.feature import FEATURE

__all__ = ["FEATURE"]
