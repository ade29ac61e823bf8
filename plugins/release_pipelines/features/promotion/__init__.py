"""Promotion: the version that passed all stages becomes stable."""

from release_pipelines.features.promotion.feature import FEATURE

__all__ = ["FEATURE"]
