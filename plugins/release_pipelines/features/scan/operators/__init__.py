"""Scans of source code and of images, and the gate behind all of them."""

from release_pipelines.features.scan.operators.gate import FindingsGateOperator
from release_pipelines.features.scan.operators.image import ImageScanOperator
from release_pipelines.features.scan.operators.source import ScanOperator

__all__ = ["FindingsGateOperator", "ImageScanOperator", "ScanOperator"]
