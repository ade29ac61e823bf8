"""Registers the package's plugin where it is used as a folder, not installed as a wheel."""

from release_pipelines.plugin import ReleasePipelinesPlugin

__all__ = ["ReleasePipelinesPlugin"]
