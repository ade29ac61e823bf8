"""Windows and freezes for DAGs without an app file: a sensor and a branch. Adds no task to a release."""

from __future__ import annotations

from release_pipelines.spec.feature import Feature

FEATURE = Feature()
