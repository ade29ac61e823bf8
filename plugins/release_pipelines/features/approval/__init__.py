"""Approval: a person lets a version go on."""

from release_pipelines.features.approval.feature import FEATURE

__all__ = ["FEATURE"]
