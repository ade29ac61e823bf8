"""Commands of people to a running release; the tasks of every feature take them up."""

from __future__ import annotations

from release_pipelines.spec.feature import Feature

FEATURE = Feature()
