"""What runs in each environment is looked at by a DAG of its own. Adds no task to a release."""

from __future__ import annotations

from release_pipelines.spec.feature import Feature

FEATURE = Feature()
