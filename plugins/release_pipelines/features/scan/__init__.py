"""Scan: what is looked at before anything is deployed."""

from release_pipelines.features.scan.feature import FEATURE

__all__ = ["FEATURE"]
