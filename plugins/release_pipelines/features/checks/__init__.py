"""Checks of a version: smoke test, integration test, commands of a team's own."""

from release_pipelines.features.checks.feature import FEATURE

__all__ = ["FEATURE"]
