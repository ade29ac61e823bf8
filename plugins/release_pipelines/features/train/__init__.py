"""Trains: several apps in waves, each by its own DAG, and the way back of all of them."""

from release_pipelines.features.train.feature import FEATURE

__all__ = ["FEATURE"]
