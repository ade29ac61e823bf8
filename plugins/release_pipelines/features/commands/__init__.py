"""Commands of people to a running release."""

from release_pipelines.features.commands.feature import FEATURE

__all__ = ["FEATURE"]
