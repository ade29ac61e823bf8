"""The deployments of all apps, as this process knows them, and who may see which."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from release_pipelines.adapters.history import HistoryUnavailable
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.delivery.deployments import Deployment, deployments, in_production
from release_pipelines.core.model.release_id import dag_that_shows, run_of
from release_pipelines.pages.access import Refused
from release_pipelines.pages.files import apps

if TYPE_CHECKING:
    from release_pipelines.adapters.history.attempts import Read
    from release_pipelines.pages.access import Viewer

log = logging.getLogger(__name__)


class Known(NamedTuple):
    """What was read.

    :param as_of: when, as Unix time in seconds.
    """

    found: Sequence[Deployment]
    as_of: float


class Deliveries:
    """Reads the history anew whenever it is asked, but of releases that ended long ago only their rows."""

    def __init__(self) -> None:
        self._read: Read = {}
        self._lock = threading.Lock()
        self._known: Known | None = None

    def known(self, max_age: float = 0.0) -> Known:
        """All deployments.

        :param max_age: so old they may be, in seconds.
        :raises Refused: when the history does not answer.
        """
        asked = time.time()
        with self._lock:
            if self._known is None or self._known.as_of < asked - max_age:
                now = time.time()
                try:
                    attempts = HistoryHook().history().attempts(read=self._read)
                except HistoryUnavailable as error:
                    log.warning("%s", error)
                    raise Refused(
                        503, "The release history does not answer: what was delivered is not known now."
                    ) from error
                earlier = {name: it.earlier for name, it in apps().items()}
                self._known = Known(deployments(in_production(attempts, earlier)), now)
            return self._known


def visible(found: Sequence[Deployment], viewer: Viewer) -> list[Deployment]:
    """The deployments that somebody may see."""
    dags = {it.attempt.release: _dag(it) for it in found}
    mine = viewer.readable(set(dags.values()))
    return [it for it in found if dags[it.attempt.release] in mine]


def _dag(it: Deployment) -> str:
    return dag_that_shows(run_of(it.attempt.release)[0], it.attempt.app)
