"""Notices: people are told what a release came to."""

from release_pipelines.features.notify.feature import FEATURE

__all__ = ["FEATURE"]
