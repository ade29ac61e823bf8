"""Registers the package's plugin where it is used as a folder; where it is installed, its entry point does."""

from importlib.metadata import PackageNotFoundError, distribution

try:
    distribution("release-pipelines")
except PackageNotFoundError:
    from release_pipelines.pages.plugin import ReleasePipelinesPlugin

    __all__ = ["ReleasePipelinesPlugin"]
