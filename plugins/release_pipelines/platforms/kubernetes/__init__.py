"""Kubernetes as a platform."""

from release_pipelines.platforms.kubernetes.platform import Kubernetes

__all__ = ["Kubernetes"]
