"""A release as it is read for everybody who looks at it."""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from release_pipelines.adapters.history import UnknownRelease
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.pages.case import Ground, ground_of
from release_pipelines.spec.status import WANTED, read_status

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.core.model.records import ReleaseDetail
    from release_pipelines.core.model.train import TrainApp
    from release_pipelines.core.status.model import ReleaseStatus

Key = tuple[str, str, int | None]
LOCKS = 16
MANY = 50
"""Of so many releases it is kept what was read."""


class Found(NamedTuple):
    """A release, as it was read for everybody."""

    release: ReleaseDetail
    status: ReleaseStatus
    lives: list[str]
    """Ids of all releases of its run, oldest first."""
    apps: list[TrainApp]
    """Of a train."""
    ground: Ground | None
    """What is asked when somebody steers it; None: it is an earlier life of its run, and hears nothing any more."""


class Reading:
    """Reads releases for everybody who looks, once for those who ask in the same moment."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, tuple[float, Found | None]] = OrderedDict()
        self._texts: OrderedDict[str, tuple[dict[str, float], dict[str, str]]] = OrderedDict()
        self._locks = [Lock() for _ in range(LOCKS)]
        self._lock = Lock()

    def of(self, dag_id: str, run_id: str, life: int | None, seconds: float) -> Found | None:
        """The release of a run; None: the history knows none.

        :param life: which of its releases, counted as in its id; None: the newest.
        :param seconds: how old it may be.
        """
        key = (dag_id, run_id, life)
        with self._locks[hash(key) % LOCKS]:
            known = self._known.get(key)
            if known is None or time.monotonic() - known[0] >= seconds:
                read = self.read(HistoryHook().history(), dag_id, run_id, life)
                known = (time.monotonic(), read)
                with self._lock:
                    _keep(self._known, key, known)
        return known[1]

    def read(self, history: History, dag_id: str, run_id: str, life: int | None) -> Found | None:
        """The same, read anew."""
        lives = history.lives(dag_id, run_id)
        wanted = lives[-1:] if life is None else [it for it in lives if life_of(it) == life]
        if not wanted:
            return None
        try:
            release = history.release(wanted[0])
        except UnknownRelease:  # it was pruned this moment
            return None
        times = history.attachment_times(release.id)
        status = read_status(
            history,
            release,
            attached=times,
            texts=self._contents(history, release.id, times),
        )
        ground = ground_of(history, release) if release.id == lives[-1] else None
        return Found(release, status, lives, history.train_apps(release.id), ground)

    def _contents(self, history: History, release: str, times: dict[str, float]) -> dict[str, str]:
        """Commits, findings and stages of a release: read again where one was written since."""
        wanted = {name: at for name, at in times.items() if name in WANTED}
        if (known := self._texts.get(release)) and known[0] == wanted:
            return known[1]
        texts = history.texts(release, list(wanted)) if wanted else {}
        with self._lock:
            _keep(self._texts, release, (wanted, texts))
        return texts


def _keep(known: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    known[key] = value
    known.move_to_end(key)
    while len(known) > MANY:
        known.popitem(last=False)


def life_of(release: str) -> int:
    """Which life of its run a release is, counted from 0."""
    number = release.rpartition("#")[2]
    return int(number) if "#" in release and number.isdigit() else 0
