"""The report: what explains an outcome."""

from release_pipelines.features.report.feature import FEATURE

__all__ = ["FEATURE"]
