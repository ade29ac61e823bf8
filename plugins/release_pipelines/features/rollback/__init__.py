"""Rollback, in named tasks."""

from release_pipelines.features.rollback.feature import FEATURE

__all__ = ["FEATURE"]
