"""People steer a running release with commands; the tasks of every feature hear them."""

from __future__ import annotations

from release_pipelines.spec.feature import Feature

FEATURE = Feature()
