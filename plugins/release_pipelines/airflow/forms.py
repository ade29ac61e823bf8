"""What the forms of this package's DAGs share."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

TRIES, TRY_SECONDS = 10, 3.0
"""Only what may mend itself is tried again (see :func:`release_pipelines.airflow.operator.explained`): an API server or a
database needs that long to come back, and a release must not go back because of it (R6)."""
FOR_PROGRAMS = "For programs"
"""Section of a form that nobody who is signed in needs."""


def optional(title: str, description: str, section: str | None = None) -> Param:
    """A text in a form that may stay empty: Airflow's page insists on every text whose type does not allow null."""
    more: dict[str, Any] = {"section": section} if section else {}
    return Param(None, type=["null", "string"], title=title, description=description, **more)


def requested_by() -> Param:
    """Who asks, where a robot, a schedule or the command line starts the run."""
    return optional(
        "Requested by",
        "Who asks, where a robot, a schedule or the command line starts the run. It counts for both: neither that person nor who "
        "starts the run can approve.",
        FOR_PROGRAMS,
    )


def app_choice(names: list[str]) -> Param:
    """The app that a form is about; the only one there is needs no choice."""
    return Param(names[0] if len(names) == 1 else "", type="string", title="App", examples=names)
