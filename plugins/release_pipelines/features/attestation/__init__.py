"""What is released is signed and attested, and verified again before an environment is touched."""

from release_pipelines.features.attestation.feature import FEATURE

__all__ = ["FEATURE"]
