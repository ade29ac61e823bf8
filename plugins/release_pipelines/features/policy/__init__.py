"""What a release must have, said in one place."""

from release_pipelines.features.policy.feature import FEATURE

__all__ = ["FEATURE"]
