"""What the modules of this package share."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from release_pipelines.core.templates import field, xcom
from release_pipelines.spec.release import ReleaseSpec

RELEASE = field("preflight", "release")
ARTIFACT = xcom("artifact")
# Only what may mend itself is tried again (see operators.base.explained): an API server or a database needs that long to
# come back, and a release must not go back because of it (R6).
TRIES, TRY_SECONDS = 10, 3.0
FOR_PROGRAMS = "For programs"
"""Section of a form that nobody who is signed in needs."""
COLOURS = {"build": "#fff7e0", "staging": "#e8f1fb", "production": "#e9f7ec", "rollback": "#fdecea"}


def queue_of(spec: ReleaseSpec, name: str) -> dict[str, Any]:
    """The queue of the environment's workers, as an operator's argument."""
    queue = next(environment.queue for environment in spec.environments if environment.name == name)
    return {"queue": queue} if queue else {}


def optional(title: str, description: str, section: str | None = None) -> Param:
    """A text in a form that may stay empty: Airflow's page insists on every text whose type does not allow null."""
    more: dict[str, Any] = {"section": section} if section else {}
    return Param(None, type=["null", "string"], title=title, description=description, **more)


def requested_by() -> Param:
    """Who asks, where nobody is signed in."""
    return optional("Requested by", "Only for runs that no signed-in user triggers: who asks.", FOR_PROGRAMS)


def app_choice(names: list[str]) -> Param:
    """The app that a form is about; the only one there is needs no choice."""
    return Param(names[0] if len(names) == 1 else "", type="string", title="App", examples=names)
