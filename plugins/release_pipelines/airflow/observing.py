"""Looks at many environments side by side, and keeps what was seen."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowNotFoundException

from release_pipelines.airflow.hooks.platform import SharedPlatforms
from release_pipelines.airflow.hooks.prometheus import PrometheusHook
from release_pipelines.airflow.loop import run
from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.sighting import EVERY_SECONDS, Health, Sighting
from release_pipelines.core.model.target import Target
from release_pipelines.core.observed import Known, missed, seen
from release_pipelines.core.observed.health import measured, not_measured
from release_pipelines.core.progression.waiting import within
from release_pipelines.core.text import one_line

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.core.ports.metrics import MetricsService
    from release_pipelines.core.ports.platform import Platform

log = logging.getLogger(__name__)

AT_ONCE = 20
"""So many environments are looked at at a time."""
PATIENCE_SECONDS = 8.0
"""Time that a platform has to answer one look, and its metrics to be measured, in seconds."""
HINDERED = (ReleaseError, AirflowNotFoundException, ValueError)


@dataclass(frozen=True)
class Place:
    """An app in an environment that is looked at.

    :param analysis: by which stable is measured; None: it is not.
    """

    target: Target
    analysis: Analysis | None = None

    @property
    def name(self) -> tuple[str, str]:
        """App and environment."""
        return self.target.app, self.target.environment


@dataclass(frozen=True)
class Look:
    """What came of one look: what was observed, else why nothing was."""

    target: Target
    at: float
    observed: Observed | None = None
    health: Health | None = None
    failure: str = ""


def look(places: Sequence[Place], history: History, every: float, *, all_files: bool = False) -> list[Sighting]:
    """Look at all places once, and keep it. Whatever goes wrong at one of them is a sentence in its row.

    :param every: seconds until the next look.
    :param all_files: whether these are all places that app files name: what was one once, and is none any more, is forgotten.
    """
    rows = keep(history, _looks(places), every=every, of_file=all_files)
    for it in rows:
        if it.failure is not None:
            log.warning("%s in %s: %s.", it.app, it.environment, it.failure)
        for drift in it.drift:
            log.warning("%s in %s: %s.", it.app, it.environment, drift.sentence)
    if all_files and places:
        named = {it.name for it in places}
        known = {(it.app, it.environment) for it in history.observations() if it.of_file}
        history.no_longer_observed(known - named)
    return rows


def keep(
    history: History, looks: Sequence[Look], *, every: float | None = None, of_file: bool = False
) -> list[Sighting]:
    """Keep what came of looks.

    :param every: seconds until the next look; None: as whoever looked before has said.
    :param of_file: whether an app file says that the app goes there; what was said before stays.
    """
    before = {(it.app, it.environment): it for it in history.observations({it.target.app for it in looks})}
    rows = []
    for it in looks:
        past = before.get((it.target.app, it.target.environment))
        again = every if every is not None else past.every if past else EVERY_SECONDS
        if it.observed is None:
            row = missed(past, it.target, it.failure, it.at, every=again)
        else:
            known = Known.from_last_look(past, it.observed) or _known(history, it.target, it.observed)
            row = seen(past, it.target, it.observed, known, it.at, health=it.health, every=again)
        rows.append(row.model_copy(update={"of_file": of_file or (past is not None and past.of_file)}))
    history.observe(rows)
    return rows


def _known(history: History, target: Target, observed: Observed) -> Known:
    digests = {it.digest for it in observed.tracks.values() if it.digest}
    return Known(history.served(target.app, target.environment), history.versions(target.app, digests))


def _looks(places: Sequence[Place]) -> list[Look]:
    """One look at each place, in their order."""
    platforms, services = SharedPlatforms(), _Services()
    asked: list[Callable[[], Awaitable[Look]] | Look] = []
    for place in places:  # connections are read here, not on the loop
        try:
            service = services.of(place) if place.analysis else None
            asked.append(_asking(place, platforms.platform(place.target), service))
        except HINDERED as error:
            asked.append(Look(place.target, time.time(), failure=one_line(error)))

    async def all_of_them() -> list[Look]:
        some = asyncio.Semaphore(AT_ONCE)

        async def one(it: Callable[[], Awaitable[Look]] | Look) -> Look:
            if isinstance(it, Look):
                return it
            async with some:
                return await it()

        try:
            return list(await asyncio.gather(*map(one, asked)))
        finally:
            await services.aclose()
            await platforms.aclose()

    return run(all_of_them())


def _asking(place: Place, platform: Platform, service: MetricsService | str | None) -> Callable[[], Awaitable[Look]]:
    async def ask() -> Look:
        failure = f"the platform does not answer within {PATIENCE_SECONDS:g} s"
        try:
            return await within(PATIENCE_SECONDS, _look(place, platform, service))
        except asyncio.TimeoutError:
            pass
        except HINDERED as error:
            failure = one_line(error)
        except Exception as error:  # of a platform of another package, say
            log.exception("%s in %s", *place.name)
            failure = f"an unforeseen {type(error).__name__}; the log of the look says more"
        return Look(place.target, time.time(), failure=failure)

    return ask


async def _look(place: Place, platform: Platform, service: MetricsService | str | None) -> Look:
    async with platform as opened:
        observed = await opened.observe(place.target)
        at = time.time()
        return Look(place.target, at, observed, await _health(place, opened, service, observed, at))


async def _health(
    place: Place, platform: Platform, service: MetricsService | str | None, observed: Observed, at: float
) -> Health | None:
    """How stable does. That nobody can say it is no failed look."""
    if place.analysis is None or service is None:
        return None
    if isinstance(service, str):
        return not_measured(service, at)
    if not observed.track("stable").ready:
        return not_measured("no replica of stable is ready", at)
    try:
        asked = measured(place.target, place.analysis, platform, service, at)
        return await within(PATIENCE_SECONDS / 2, asked)
    except asyncio.TimeoutError:
        return not_measured(f"the metrics do not answer within {PATIENCE_SECONDS / 2:g} s", at)
    except Exception as error:  # of a metric source of another package, say
        log.exception("%s in %s", *place.name)
        return not_measured(f"an unforeseen {type(error).__name__}", at)


class _Services:
    """Metrics services by their connections, each opened once."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def of(self, place: Place) -> MetricsService | str:
        """The service that measures a place; else why there is none, in a sentence."""
        name = place.target.prometheus_connection
        if name not in self._known:
            try:
                self._known[name] = PrometheusHook(name).reader()
            except HINDERED as error:
                self._known[name] = one_line(error)
        return self._known[name]  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        for it in self._known.values():
            if not isinstance(it, str):
                await it.close()
