"""Plots, and the incident report of an outcome that needs one, are attached to the release."""

from __future__ import annotations

from release_pipelines.spec.feature import Ended, Feature


class ReportFeature(Feature):
    """Explains an outcome in the history."""

    def explain(self, ended: Ended) -> None:
        from release_pipelines.features.report import operators

        operators.explain(ended)


FEATURE = ReportFeature()
