"""Promotion: the version that held becomes stable."""

from release_pipelines.features.promotion.feature import FEATURE

__all__ = ["FEATURE"]
