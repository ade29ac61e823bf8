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
from release_pipelines.core.model.sighting import Health, Sighting
from release_pipelines.core.model.target import Target
from release_pipelines.core.observed import Known, missed, seen
from release_pipelines.core.observed.health import measured, not_measured
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

    at: float
    observed: Observed | None = None
    health: Health | None = None
    failure: str = ""


def look(places: Sequence[Place], history: History, every: float) -> list[Sighting]:
    """Look at all places once, and keep it. Whatever goes wrong at one of them is a sentence in its row.

    :param every: seconds until the next look.
    """
    before = {(it.app, it.environment): it for it in history.observations({it.target.app for it in places})}
    rows = []
    for place, found in zip(places, _looks(places), strict=True):
        past = before.get(place.name)
        if found.observed is None:
            log.warning("%s in %s: %s", *place.name, found.failure)
            rows.append(missed(past, place.target, found.failure, found.at, every=every))
            continue
        known = _known(history, past, place.target, found.observed)
        row = seen(past, place.target, found.observed, known, found.at, health=found.health, every=every)
        for drift in row.drift:
            log.warning("%s in %s: %s.", *place.name, drift.sentence)
        rows.append(row)
    history.observe(rows)
    return rows


def _known(history: History, past: Sighting | None, target: Target, observed: Observed) -> Known:
    """What the history knows. It is asked all the same where nothing has changed: a release ends without another digest."""
    return Known(history.served(target.app, target.environment), history.versions(target.app))


def _looks(places: Sequence[Place]) -> list[Look]:
    """One look at each place, in their order."""
    platforms, services = SharedPlatforms(), _Services()
    asked: list[Callable[[], Awaitable[Look]] | Look] = []
    for place in places:  # connections are read here, not on the loop
        try:
            service = services.of(place) if place.analysis else None
            asked.append(_asking(place, platforms.platform(place.target), service))
        except HINDERED as error:
            asked.append(Look(at=time.time(), failure=one_line(error)))

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
            return await asyncio.wait_for(_look(place, platform, service), PATIENCE_SECONDS)
        except asyncio.TimeoutError:
            pass
        except HINDERED as error:
            failure = one_line(error)
        except Exception as error:  # of a platform of another package, say
            log.exception("%s in %s", *place.name)
            failure = f"an unforeseen {type(error).__name__}; the log of the look says more"
        return Look(time.time(), failure=failure)

    return ask


async def _look(place: Place, platform: Platform, service: MetricsService | str | None) -> Look:
    async with platform as opened:
        observed = await opened.observe(place.target)
        at = time.time()
        return Look(at, observed, await _health(place, opened, service, observed, at))


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
        return await asyncio.wait_for(asked, PATIENCE_SECONDS / 2)
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
