"""The deployments of all apps, as this process knows them, and who may see which."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from release_pipelines.adapters.history import HistoryUnavailable
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.delivery.deployments import Deployment, deployments, in_production
from release_pipelines.core.model.release_id import dag_that_shows, run_of
from release_pipelines.pages.access import Refused
from release_pipelines.pages.scope import apps

if TYPE_CHECKING:
    from release_pipelines.adapters.history.attempts import Read
    from release_pipelines.pages.access import Viewer

log = logging.getLogger(__name__)


class Known(NamedTuple):
    """What was read.

    :param by_dag: the deployments by the id of the DAG whose readers may see them, in the order of their instants.
    :param as_of: when, as Unix time in seconds.
    """

    by_dag: Mapping[str, Sequence[Deployment]]
    as_of: float


class Deliveries:
    """Asks the history each time whether something has changed, reads what has, and counts anew only then."""

    def __init__(self) -> None:
        self._read: Read = {}
        self._lock = threading.Lock()
        self._state: Any = None
        self._known: Known | None = None

    def known(self, max_age: float = 0.0) -> Known:
        """All deployments.

        :param max_age: so old they may be, in seconds.
        :raises Refused: when the history does not answer.
        """
        asked = time.time()
        with self._lock:
            if self._known is None or self._known.as_of < asked - max_age:
                try:
                    self._known = self._looked(time.time())
                except HistoryUnavailable as error:
                    log.warning("%s", error)
                    sentence = "The release history does not answer: what was delivered is not known now."
                    raise Refused(503, sentence) from error
            return self._known

    def _looked(self, now: float) -> Known:
        history = HistoryHook().history()
        earlier = {name: it.earlier for name, it in apps().items()}
        state = (history.attempts_state(), earlier)
        if self._known is not None and self._state == state:
            return self._known._replace(as_of=now)
        found: dict[str, list[Deployment]] = {}
        for it in deployments(in_production(history.attempts(read=self._read), earlier)):
            found.setdefault(dag_that_shows(run_of(it.attempt.release)[0], it.attempt.app), []).append(it)
        self._state = state
        return Known(found, now)


def visible(known: Known, viewer: Viewer) -> list[Deployment]:
    """The deployments that somebody may see, in the order of their instants."""
    mine = viewer.readable(known.by_dag)
    found = [it for dag_id, part in known.by_dag.items() if dag_id in mine for it in part]
    return sorted(found, key=lambda it: (it.at, it.attempt.release))
