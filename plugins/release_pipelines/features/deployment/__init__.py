"""Deployment: a version on a track, and the revert of environments before the last one."""

from release_pipelines.features.deployment.feature import FEATURE

__all__ = ["FEATURE"]
