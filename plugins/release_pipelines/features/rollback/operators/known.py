"""After an outcome: which versions are good now."""

from __future__ import annotations

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.features.rollback import good
from release_pipelines.spec.feature import Ended


def keep_good(ended: Ended) -> None:
    """Keep the versions that a rollback may go back to, for the next form."""
    app, environment = ended.target.app, ended.target.environment
    stability = HistoryHook().history().stability(app, environment)
    good.keep(app, environment, [it.version for it in stability if it.good])
