"""Scans of source code and of images."""

from release_pipelines.features.scan.operators.image import ImageScanOperator
from release_pipelines.features.scan.operators.source import ScanOperator

__all__ = ["ImageScanOperator", "ScanOperator"]
