"""What the modules of this package share."""

from __future__ import annotations

from typing import Any

from release_pipelines.pipeline.xcom import field, xcom
from release_pipelines.spec.release import ReleaseSpec

RELEASE = field("preflight", "release")
ARTIFACT = xcom("artifact")
# Only what may mend itself is tried again (see operators.base.explained): an API server or a database needs that long to
# come back, and a release must not go back because of it (R6).
TRIES, TRY_SECONDS = 10, 3.0
COLOURS = {"build": "#fff7e0", "staging": "#e8f1fb", "production": "#e9f7ec", "rollback": "#fdecea"}


def queue_of(spec: ReleaseSpec, name: str) -> dict[str, Any]:
    """The queue of the environment's workers, as an operator's argument."""
    queue = next(environment.queue for environment in spec.environments if environment.name == name)
    return {"queue": queue} if queue else {}
