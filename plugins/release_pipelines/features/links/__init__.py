"""Where people look beside Airflow."""

from release_pipelines.features.links.feature import FEATURE

__all__ = ["FEATURE"]
