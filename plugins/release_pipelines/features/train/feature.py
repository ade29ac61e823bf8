"""Trains have DAGs of their own (``pipeline/train.py``), so this adds no task to a release."""

from __future__ import annotations

from release_pipelines.spec.feature import Feature

FEATURE = Feature()
