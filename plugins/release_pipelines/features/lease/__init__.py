"""The lease: one writer at a time for an app in an environment."""

from release_pipelines.features.lease.feature import FEATURE

__all__ = ["FEATURE"]
