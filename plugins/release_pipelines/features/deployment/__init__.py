"""Deployment: a version on a track, and the way back of environments before the last one."""

from release_pipelines.features.deployment.feature import FEATURE

__all__ = ["FEATURE"]
