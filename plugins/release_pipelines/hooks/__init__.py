"""Hooks: Airflow connections to what a release works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release_pipelines._lazy import lazy

if TYPE_CHECKING:
    from release_pipelines.airflow.hooks.engine import BuildKitHook as BuildKitHook
    from release_pipelines.airflow.hooks.engine import EngineHook as EngineHook
    from release_pipelines.airflow.hooks.git import GitHook as GitHook
    from release_pipelines.airflow.hooks.history import HistoryHook as HistoryHook
    from release_pipelines.airflow.hooks.platform import PlatformHook as PlatformHook
    from release_pipelines.airflow.hooks.prometheus import PrometheusHook as PrometheusHook
    from release_pipelines.airflow.hooks.registry import RegistryHook as RegistryHook
    from release_pipelines.airflow.hooks.remote_builder import RemoteBuilderHook as RemoteBuilderHook
    from release_pipelines.airflow.hooks.signing import SigningKeyHook as SigningKeyHook

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "airflow.hooks.engine": ("BuildKitHook", "EngineHook"),
        "airflow.hooks.git": ("GitHook",),
        "airflow.hooks.history": ("HistoryHook",),
        "airflow.hooks.platform": ("PlatformHook",),
        "airflow.hooks.prometheus": ("PrometheusHook",),
        "airflow.hooks.registry": ("RegistryHook",),
        "airflow.hooks.signing": ("SigningKeyHook",),
        "airflow.hooks.remote_builder": ("RemoteBuilderHook",),
    },
)
