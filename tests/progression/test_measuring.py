"""Counts are exact: every event once, whatever happens to counters, to the metrics service and to the triggerer."""

from __future__ import annotations

import asyncio
import math

import pytest

from release_pipelines.core.errors import MetricsUnavailable
from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.progression.measuring import Measurer
from tests.fakes import World, target

BEGAN = 1_800_000_000.0
Series = list[dict[str, float]]


class Counters:
    """Raw counters at every tick, by track and by what is counted; ``away`` holds the ticks at which nobody answers."""

    def __init__(self) -> None:
        self.all: dict[str, Series] = {"canary": [], "stable": []}
        self.bad: dict[str, Series] = {"canary": [], "stable": []}
        self.away: set[tuple[str, int]] = set()
        self.asked: list[tuple[str, int, int]] = []

    async def series(self, promql: str, start: float, end: float, step: float) -> Series:
        first, last = (round((it - BEGAN) / step) for it in (start, end))
        track = "canary" if "canary" in promql else "stable"
        self.asked.append((track, first, last))
        await asyncio.sleep(0)
        if (track, last) in self.away:
            raise MetricsUnavailable("Prometheus does not answer")
        of = (self.bad if "5.." in promql else self.all)[track]
        return [of[n] if n < len(of) else {} for n in range(first, last + 1)]


@pytest.fixture
def counters() -> Counters:
    return Counters()


def measurer(counters: Counters) -> Measurer:
    """The errors of a canary beside stable, every ten seconds."""

    async def opened(_: str) -> Counters:
        return counters

    metric = {"name": "errors", "source": "errors", "limit": "1%"}
    analysis = Analysis.model_validate({"interval": 10, "metrics": [metric]})
    return Measurer(target(), "canary", "stable", analysis, opened)


async def taken(it: Measurer, upto: int, one_by_one: bool = True) -> list[Sample]:
    """Samples up to a tick, each asked for when it is due, or all at once as after a restart."""
    for tick in range(1, upto + 1) if one_by_one else [upto]:
        await it.take(World().platform(), BEGAN, BEGAN + 10 * tick)
    return it.samples


def counts(samples: list[Sample]) -> list[tuple[float | None, float | None]]:
    """Bad and all events of the canary."""
    return [(it.bad, it.total) for it in samples]


async def test_a_new_versions_first_events_count_and_stables_old_ones_do_not(counters: Counters) -> None:
    counters.all["canary"] = [{}, {"a": 30}, {"a": 70}]
    counters.bad["canary"] = [{}, {}, {"a": 2}]
    counters.all["stable"] = [{"s": 9000}, {"s": 9100}, {"s": 9300}]
    counters.bad["stable"] = [{"s": 50}, {"s": 51}, {"s": 51}]
    samples = await taken(measurer(counters), 2)
    assert counts(samples) == [(0, 30), (2, 40)]
    assert [(it.stable_bad, it.stable_total) for it in samples] == [(1, 100), (0, 200)]


async def test_a_counter_that_was_reset_counts_on_from_nothing(counters: Counters) -> None:
    counters.all["canary"] = [{"a": 5}, {"a": 100}, {"a": 20}, {"a": 60}]
    counters.bad["canary"] = [{"a": 5}, {"a": 10}, {"a": 3}, {"a": 3}]
    assert counts(await taken(measurer(counters), 3)) == [(5, 95), (3, 20), (0, 40)]


async def test_a_series_that_appears_late_on_a_track_that_counts_already_began_at_nothing(counters: Counters) -> None:
    counters.all["canary"] = [{"200": 10}, {"200": 20}, {"200": 30, "500": 4}]
    counters.bad["canary"] = [{}, {}, {"500": 4}]
    assert counts(await taken(measurer(counters), 2)) == [(0, 10), (4, 14)]


async def test_a_stable_whose_series_is_only_found_late_is_no_jump(counters: Counters) -> None:
    counters.all["canary"] = [{}, {"a": 10}, {"a": 20}]
    counters.bad["canary"] = [{}, {}, {}]
    counters.all["stable"] = [{}, {"s": 9000}, {"s": 9100}]
    counters.bad["stable"] = [{}, {"s": 70}, {"s": 71}]
    samples = await taken(measurer(counters), 2)
    assert [(it.stable_bad, it.stable_total) for it in samples] == [(0, 0), (1, 100)]


async def test_no_series_at_all_is_no_count(counters: Counters) -> None:  # R3
    assert counts(await taken(measurer(counters), 2)) == [(0, None), (0, None)]


@pytest.mark.parametrize("track", ["canary", "stable"])
@pytest.mark.parametrize("away", [[1], [2], [2, 3]])
async def test_what_nobody_could_be_asked_about_counts_in_the_next_answer(
    counters: Counters, track: str, away: list[int]
) -> None:
    total = [0, 10, 30, 60, 100]
    counters.all["canary"] = [{"a": it} for it in total]
    counters.bad["canary"] = [{"a": it // 10} for it in total]
    counters.all["stable"] = [{"s": 2 * it} for it in total]
    counters.bad["stable"] = [{"s": it // 10} for it in total]
    counters.away = {(track, tick) for tick in away}
    samples = await taken(measurer(counters), 4)
    assert [round((it.at - BEGAN) / 10) for it in samples if it.error] == away
    assert sum(it.total or 0 for it in samples) == 100  # nothing lost, nothing twice: whichever track was not answered
    assert sum(it.bad or 0 for it in samples) == 10
    assert sum(it.stable_total or 0 for it in samples) == 200


async def test_a_reset_while_nobody_could_be_asked_is_seen_all_the_same(counters: Counters) -> None:
    counters.all["canary"] = [{"a": 0}, {"a": 50}, {"a": 5}, {"a": 80}]
    counters.bad["canary"] = [{}, {}, {}, {}]
    counters.away = {("canary", 2)}
    assert [it.total for it in await taken(measurer(counters), 3)] == [50, None, 80]


async def test_after_a_restart_all_samples_are_the_same(counters: Counters) -> None:  # R6
    counters.all["canary"] = [{"a": it} for it in (0, 10, 25, 3, 40)]
    counters.bad["canary"] = [{}, {"a": 1}, {"a": 1}, {}, {"a": 2}]
    counters.all["stable"] = [{"s": it} for it in (700, 800, 950, 950, 1000)]
    counters.bad["stable"] = [{"s": it} for it in (7, 8, 8, 9, 9)]
    before = await taken(measurer(counters), 4)
    counters.asked.clear()
    assert await taken(measurer(counters), 4, one_by_one=False) == before
    assert len(counters.asked) == 4  # one answer each, however long it was away


async def test_what_was_taken_is_not_asked_for_again(counters: Counters) -> None:
    counters.all["canary"] = [{"a": it} for it in (0, 10, 20)]
    it = measurer(counters)
    await taken(it, 2)
    asked = len(counters.asked)
    await it.take(World().platform(), BEGAN, BEGAN + 25)
    assert len(counters.asked) == asked
    assert math.isclose(it.samples[-1].at, BEGAN + 20)
