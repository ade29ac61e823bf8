"""Colours of task groups in Airflow's graph."""

from __future__ import annotations

BUILD_COLOUR = "#fff7e0"
ENVIRONMENT_COLOUR = "#e8f1fb"
LAST_ENVIRONMENT_COLOUR = "#e9f7ec"
ROLLBACK_COLOUR = "#fdecea"
