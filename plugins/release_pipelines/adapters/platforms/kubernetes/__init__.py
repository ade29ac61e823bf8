"""Kubernetes as a platform."""

from release_pipelines.adapters.platforms.kubernetes.platform import Kubernetes

__all__ = ["Kubernetes"]
