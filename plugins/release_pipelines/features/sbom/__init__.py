"""SBOM: what an image is made of, kept with its release."""

from release_pipelines.features.sbom.feature import FEATURE

__all__ = ["FEATURE"]
