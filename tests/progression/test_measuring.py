"""Counts are exact: every event once, whatever happens to counters, to the metrics service and to the triggerer."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from release_pipelines.adapters.metrics.sources._counters import AT_ONCE, LABEL, spans_of, thinning
from release_pipelines.core.errors import MetricsUnavailable
from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.observation import Usage
from release_pipelines.core.progression.measuring import Measurer
from tests.fakes import World, counters_in, target

BEGAN = 1_800_000_000.0
Series = list[dict[str, float]]


class Counters:
    """Raw counters at every tick, by track and by what is counted; ``away`` holds the ticks at which nobody answers.

    A series that is missing at a tick has missed its scrape: a range that is long enough finds what it was before.
    """

    def __init__(self) -> None:
        self.all: dict[str, Series] = {"canary": [], "stable": []}
        self.bad: dict[str, Series] = {"canary": [], "stable": []}
        self.away: set[int] = set()
        self.asked: list[tuple[int, int]] = []
        self.earlier = 0
        """So many of the moments are from before the stage."""
        self.behind: list[int] = [0]
        """How many ticks the replicas are behind that answer one question after the other."""

    async def series(self, promql: str, start: float, end: float, step: float) -> Series:
        first, last = (round((it - BEGAN) / 10) for it in (start, end))
        self.asked.append((first, last))
        await asyncio.sleep(0)
        if last in self.away:
            raise MetricsUnavailable("Prometheus does not answer")
        late = self.behind[len(self.asked) % len(self.behind)]
        return [self.at(promql, n - late) for n in range(first, last + 1, round(step / 10))]

    def at(self, promql: str, moment: int) -> dict[str, float]:
        """What a question for several counters finds at one moment."""
        found: dict[str, float] = {}
        for text, counter in counters_in(promql):
            track = "canary" if "canary" in text else "stable"
            ticks = int(text.rpartition("[")[2].removesuffix("s])")) // 10 if "[" in text else 0
            of = (self.bad if "5.." in text else self.all)[track]
            seen: dict[str, float] = {}
            for n in range(moment - ticks, moment + 1):
                place = n + self.earlier
                seen |= of[place] if 0 <= place < len(of) else {}
            found |= {json.dumps({LABEL: counter, "is": name}): value for name, value in seen.items()}
        return found


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


async def taken(it: Measurer, upto: int, one_by_one: bool = True, served_since: float | None = None) -> list[Sample]:
    """Samples up to a tick, each asked for when it is due, or all at once as after a restart."""
    for tick in range(1, upto + 1) if one_by_one else [upto]:
        await it.take(World().platform(), BEGAN, BEGAN + 10 * tick, served_since)
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


@pytest.mark.parametrize("away", [[1], [2], [2, 3]])
async def test_what_nobody_could_be_asked_about_counts_in_the_next_answer(counters: Counters, away: list[int]) -> None:
    total = [0, 10, 30, 60, 100]
    counters.all["canary"] = [{"a": it} for it in total]
    counters.bad["canary"] = [{"a": it // 10} for it in total]
    counters.all["stable"] = [{"s": 2 * it} for it in total]
    counters.bad["stable"] = [{"s": it // 10} for it in total]
    counters.away = set(away)
    samples = await taken(measurer(counters), 4)
    assert [round((it.at - BEGAN) / 10) for it in samples if it.error] == away
    assert sum(it.total or 0 for it in samples) == 100  # nothing lost, nothing twice
    assert sum(it.bad or 0 for it in samples) == 10
    assert sum(it.stable_total or 0 for it in samples) == 200


async def test_a_reset_while_nobody_could_be_asked_is_seen_all_the_same(counters: Counters) -> None:
    counters.all["canary"] = [{"a": 0}, {"a": 50}, {"a": 5}, {"a": 80}]
    counters.bad["canary"] = [{}, {}, {}, {}]
    counters.away = {2}
    assert [it.total for it in await taken(measurer(counters), 3)] == [50, None, 80]


async def test_after_a_restart_all_samples_are_the_same(counters: Counters) -> None:  # R6
    counters.all["canary"] = [{"a": it} for it in (0, 10, 25, 3, 40)]
    counters.bad["canary"] = [{}, {"a": 1}, {"a": 1}, {}, {"a": 2}]
    counters.all["stable"] = [{"s": it} for it in (700, 800, 950, 950, 1000)]
    counters.bad["stable"] = [{"s": it} for it in (7, 8, 8, 9, 9)]
    before = await taken(measurer(counters), 4)
    counters.asked.clear()
    assert await taken(measurer(counters), 4, one_by_one=False) == before
    assert len(counters.asked) == 1  # one answer for all, however long it was away


@pytest.mark.parametrize("upto", [11, 40, 307, 25_003])
async def test_what_was_missed_for_long_is_counted_in_a_few_samples(counters: Counters, upto: int) -> None:
    """A triggerer that starts anew has a thousand canaries to catch up with."""
    for track, served in (("canary", 7), ("stable", 90)):
        counters.all[track] = [{"a": served * n} for n in range(upto + 1)]
        counters.bad[track] = [{"a": n // 9} for n in range(upto + 1)]
    it = measurer(counters)
    samples = await taken(it, upto, one_by_one=False)
    assert len(samples) <= AT_ONCE
    assert samples[-1].at == BEGAN + 10 * upto
    assert [sum(found) for found in zip(*counts(samples), strict=True)] == [upto // 9, 7 * upto]
    assert sum(it.stable_total for it in samples) == 90 * upto
    counters.all["canary"].append({"a": 7 * upto + 5})
    assert counts(await taken(it, upto + 1, one_by_one=False))[-1] == (0, 5)


@given(st.integers(1, 3000), st.integers(1, 400), st.integers(2, 100))
def test_questions_about_what_was_missed_have_no_gap(steps: int, due: int, most: int) -> None:
    every = thinning(min(due, steps), needed=1)
    spans = spans_of(1000.0, 1000.0 + 5 * steps, 5.0, every, most)
    assert (spans[0][0], spans[-1][1]) == (1000.0, 1000.0 + 5 * steps)
    assert [it[1] for it in spans[:-1]] == [it[0] for it in spans[1:]]
    assert all(round((end - start) / step) <= most and step <= 5 * every for start, end, step in spans)


async def test_what_a_host_uses_now_is_said_of_no_earlier_moment() -> None:
    metric = {"name": "cpu", "source": "cpu", "limit": "80%"}
    analysis = Analysis.model_validate({"interval": 10, "metrics": [metric]})
    limited = target().model_copy(update={"workload": target().workload.model_copy(update={"cpu": 1.0})})
    world = World()
    world.usage = Usage(cpu=0.9)

    async def opened(_: str) -> Counters:
        return Counters()

    it = Measurer(limited, "canary", "stable", analysis, opened)
    await it.take(world.platform(), BEGAN, BEGAN + 3000)
    assert [(sample.at, sample.value) for sample in it.samples] == [(BEGAN + 3000, 0.9)]


@pytest.mark.parametrize(("upto", "needed"), [(21, 20), (307, 20), (12, 15)])
async def test_a_restart_costs_none_of_the_measurements_that_must_pass(
    counters: Counters, upto: int, needed: int
) -> None:
    metrics = [{"name": "errors", "source": "errors", "limit": "1%"}, {"name": "cpu", "source": "cpu", "limit": "80%"}]
    analysis = Analysis.model_validate({"interval": 10, "min_measurements": needed, "metrics": metrics})
    counters.all["canary"] = [{"a": 7 * n} for n in range(upto + 1)]
    world = World()
    world.usage = Usage(cpu=0.4)

    async def opened(_: str) -> Counters:
        return counters

    limited = target().model_copy(update={"workload": target().workload.model_copy(update={"cpu": 1.0})})
    it = Measurer(limited, "canary", "stable", analysis, opened)
    await it.take(world.platform(), BEGAN, BEGAN + 10 * upto)
    taken = Counter(sample.metric for sample in it.samples)
    assert min(taken.values()) >= min(needed, upto)
    assert sum(sample.total or 0 for sample in it.samples) == 7 * upto


async def test_what_was_taken_is_not_asked_for_again(counters: Counters) -> None:
    counters.all["canary"] = [{"a": it} for it in (0, 10, 20)]
    it = measurer(counters)
    await taken(it, 2)
    asked = len(counters.asked)
    await it.take(World().platform(), BEGAN, BEGAN + 25)
    assert len(counters.asked) == asked
    assert math.isclose(it.samples[-1].at, BEGAN + 20)


# --- scrapes that are missed, and replicas that scrape at moments of their own ----------------------------------------


async def test_a_proxy_that_missed_its_scrape_at_the_start_of_a_step_is_no_burst_of_errors(counters: Counters) -> None:
    counters.earlier = 2
    counters.all["canary"] = [{"a": 2400, "b": 2400}, {"a": 2450, "b": 2450}, {"a": 2500}, {"a": 2550, "b": 2550}]
    counters.bad["canary"] = [{"a": 30, "b": 30}] * 2 + [{"a": 30}, {"a": 30, "b": 30}]
    served_since = BEGAN - 100
    assert counts(await taken(measurer(counters), 1, served_since=served_since)) == [(0, 150)]


async def test_a_proxy_that_missed_a_scrape_within_a_step_counts_once(counters: Counters) -> None:
    counters.all["canary"] = [{"a": 100, "b": 100}, {"a": 150}, {"a": 200, "b": 200}, {"a": 250, "b": 250}]
    counters.bad["canary"] = [{"b": 9}, {}, {"b": 10}, {"b": 10}]
    assert counts(await taken(measurer(counters), 3)) == [(0, 50), (1, 150), (0, 100)]


async def test_an_earlier_releases_counter_under_the_same_name_is_none_of_this_ones(counters: Counters) -> None:
    counters.earlier = 1
    counters.all["canary"] = [{"a": 100}, {}, {"a": 150}]
    counters.bad["canary"] = [{"a": 20}, {}, {"a": 21}]
    assert counts(await taken(measurer(counters), 1)) == [(21, 150)]


async def test_replicas_of_prometheus_that_are_behind_each_other_make_no_resets(counters: Counters) -> None:
    counters.earlier, counters.behind = 3, [0, 1]
    counters.all["canary"] = [{"a": 5000 + 100 * n} for n in range(24)]
    counters.bad["canary"] = [{"a": 50 + n // 10} for n in range(24)]
    counters.all["stable"] = [{"s": 90_000 + 900 * n} for n in range(24)]
    counters.bad["stable"] = [{"s": 900 + n} for n in range(24)]
    samples = await taken(measurer(counters), 20, served_since=BEGAN - 30)
    assert max(it.total or 0 for it in samples) <= 300
    assert 1800 <= sum(it.total or 0 for it in samples) <= 2100
    assert sum(it.bad or 0 for it in samples) <= 2
    assert sum(it.stable_bad or 0 for it in samples) <= 21


@given(
    growths=st.lists(st.integers(0, 400), min_size=2, max_size=15),
    behind=st.lists(st.integers(0, 2), min_size=1, max_size=6),
    began=st.integers(1000, 100_000),
)
@settings(deadline=None, max_examples=60)
def test_whichever_replica_answers_an_event_counts_about_once(
    growths: list[int], behind: list[int], began: int
) -> None:
    counters = Counters()
    counters.earlier, counters.behind = 2, behind
    values = list(accumulate([began, 0, 0, *growths]))
    counters.all["canary"] = [{"a": it} for it in values]
    samples = asyncio.run(taken(measurer(counters), len(growths), served_since=BEGAN - 20))
    found = sum(it.total or 0 for it in samples)
    late = sum(growths[-2:])  # what the last answer may not have yet
    assert sum(growths) - late <= found <= sum(growths)
