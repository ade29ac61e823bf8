"""Windows fit how often there is a scrape; and a look at stable says before a release what can never be measured (R3)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from release_pipelines.core.errors import BadQuery, MetricsUnavailable
from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.hold import Hold
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import RouterSettings, Target, Workload
from release_pipelines.core.model.traffic import Traffic
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.progression.measuring import Measurer, look_at_stable
from tests.fakes import World, target

BEGAN = 1_800_000_003.0
COUNT = 'sum(increase(payments_total{track="{{ track }}"%s}[{{ window }}]))'
OWN = {
    "name": "payments",
    "bad": COUNT % ',result="failed"' + " or vector(0)",
    "total": COUNT % "",
    "limit": "2%",
}
GAUGE = {"name": "queue", "query": 'avg(avg_over_time(queue{track="{{ track }}"}[{{ window }}]))', "limit": 100}


class Scraped:
    """50 requests a second, of which Prometheus sees the sum at each scrape.

    :param every: seconds between two scrapes.
    :param stable: whether the metric is there before the release.
    """

    def __init__(self, every: float, stable: bool = True) -> None:
        self.every, self.stable = every, stable
        self.windows: list[float] = []
        self.away: set[float] = set()

    async def query(self, promql: str, at: float) -> float | None:
        if at in self.away:
            raise MetricsUnavailable("Prometheus does not answer")
        of_stable = 'track="stable"' in promql
        if "timestamp(" in promql:
            known = self.stable if of_stable else at - BEGAN >= 2 * self.every
            return self.every if known else None
        window = float(next(iter(re.findall(r"\[(\d+)s\]", promql))))
        self.windows.append(window)
        start = BEGAN if not of_stable else 0.0
        scrapes = list(range(int((at - window) // self.every) + 1, int(at // self.every) + 1))
        scrapes = [n for n in scrapes if n * self.every > start]
        if len(scrapes) < 2:
            return 0.0 if "vector(0)" in promql else None
        return 0.0 if "failed" in promql else 50 * window


async def taken(service: Scraped, upto: int, one_by_one: bool = True, **analysis: Any) -> list[Sample]:
    """Samples of a canary up to a tick, one after the other or all at once, as after a restart."""

    async def opened(_: str) -> Any:
        return service

    judged = Analysis.model_validate({"metrics": [OWN], **analysis})
    measurer = Measurer(target(), "canary", "stable", judged, opened)
    for tick in range(1, upto + 1) if one_by_one else [upto]:
        await measurer.take(World().platform(), BEGAN, BEGAN + judged.interval * tick)
    return measurer.samples


def totals(samples: list[Sample]) -> list[float | None]:
    return [it.total for it in samples]


@pytest.mark.parametrize("stable", [True, False])
@pytest.mark.parametrize("every", [15, 30, 60])
async def test_counts_of_ones_own_are_measured_whatever_the_scrapes(every: float, stable: bool) -> None:
    samples = await taken(Scraped(every, stable), 60)
    measured = [it for it in samples if it.total is not None]
    assert measured
    assert all(it.bad == 0 for it in measured)
    assert sum(it.total or 0 for it in measured) >= 50 * 400
    verdict = JUDGES.get("sequential").verdicts(Analysis.model_validate({"metrics": [OWN]}), samples, {}, 10, over=True)
    assert [it.verdict.judgement for it in verdict] == ["pass"]


async def test_every_event_still_counts_once() -> None:
    service = Scraped(15)
    samples = await taken(service, 12)
    assert totals(samples) == [None, None, None, 2000.0, None, None, None, 2000.0, None, None, None, 2000.0]


async def test_scrapes_that_are_fast_enough_change_nothing() -> None:
    service = Scraped(2)
    assert totals(await taken(service, 3)) == [500.0] * 3
    assert set(service.windows) == {10.0}


@pytest.mark.parametrize("stable", [True, False])
async def test_after_a_restart_the_windows_are_the_same(stable: bool) -> None:  # R6
    before = await taken(Scraped(15, stable), 12)
    assert await taken(Scraped(15, stable), 12, one_by_one=False) == before


async def test_a_window_that_may_overlap_is_as_long_as_two_scrapes() -> None:
    service = Scraped(30)
    samples = await taken(service, 9, judge="threshold", window=30)
    assert totals(samples)[6:] == [3300.0, 3300.0, 3300.0]
    assert max(service.windows) == 66


async def test_a_window_never_reaches_before_the_stage() -> None:  # R3
    service = Scraped(60)
    samples = await taken(service, 2, judge="threshold", window=30)
    assert max(service.windows) == 20
    assert totals(samples) == [None, None]


async def test_a_connection_that_cannot_be_opened_is_an_error_of_the_samples() -> None:
    async def opened(_: str) -> Any:
        raise MetricsUnavailable("its certificate is not here")

    measurer = Measurer(target(), "canary", None, Analysis.model_validate({"metrics": [OWN]}), opened)
    await measurer.take(World().platform(), BEGAN, BEGAN + 20)
    assert [it.error for it in measurer.samples] == ["its certificate is not here"] * 2


# --- a look at stable ---------------------------------------------------------------------------------------------


class Service:
    """Prometheus with some series; a query for how many there are finds those whose name is in it.

    :param there: parts of selectors that have series now.
    :param bounds: ends of the buckets of every histogram.
    """

    def __init__(self, *there: str, bounds: tuple[float, ...] = (0.1, 0.5, 1.0), every: float | None = None) -> None:
        self.there, self.bounds, self.every = there, bounds, every
        self.wrong: set[str] = set()

    async def query(self, promql: str, at: float) -> float | None:
        if any(it in promql for it in self.wrong):
            raise BadQuery("parse error")
        if "timestamp(" in promql:
            return self.every
        if bounds := re.findall(r'le=(?:~?)"([0-9.]+)', promql):
            return 1.0 if any(float(it) in self.bounds for it in bounds) and self._known(promql) else None
        return 1.0 if self._known(promql) or "vector(0)" in promql else None

    def _known(self, promql: str) -> bool:
        return any(it in promql for it in self.there)

    async def series(self, promql: str, start: float, end: float, step: float) -> list[dict[str, float]]:
        return [{f'{{"le": "{it:g}"}}': 1.0 for it in self.bounds} if self._known(promql) else {}]


def on_kubernetes(kind: str = "gateway_api", **router: Any) -> Target:
    return target().model_copy(
        update={
            "platform": "kubernetes",
            "router": RouterSettings(kind=kind, route="shop", **router),
            "workload": Workload(name="shop", memory="256Mi"),
        }
    )


ERRORS = {"name": "errors", "source": "errors", "limit": "1%"}
SLOW = {"name": "slow", "source": "slow_requests", "limit": "1%"}
MEMORY = {"name": "memory", "source": "memory", "limit": "80%"}


async def lacks(service: Service, where: Target, *metrics: dict[str, Any], **analysis: Any) -> list[tuple[bool, str]]:
    judged = Analysis.model_validate({"metrics": list(metrics), **analysis})
    stage = Stage(
        name="step_10",
        track="canary",
        traffic=Traffic(weights={"stable": 90, "canary": 10}),
        hold=Hold(min=10, max=10),
        analysis=judged,
    )
    found = await look_at_stable(where, [stage, stage], World().platform(), service, BEGAN)
    return [(it.certain, it.sentence) for it in found]


async def test_a_stable_whose_numbers_are_there_lacks_nothing() -> None:
    service = Service("traefik_service_", "container_memory_", "payments_total", "queue")
    assert await lacks(service, on_kubernetes(), ERRORS, SLOW, MEMORY, OWN, GAUGE) == []


async def test_the_dialect_that_counts_is_proposed() -> None:
    ((certain, sentence),) = await lacks(Service("envoy_cluster_upstream_rq_xx{"), on_kubernetes(), ERRORS)
    assert certain
    assert sentence == (
        "Metric errors: Prometheus has no traefik_service_requests_total of stable in production, but `envoy` counts its "
        "requests: `router.dialect: envoy` is expected in production.yaml."
    )
    assert await lacks(Service("envoy_cluster_upstream_rq_xx{"), on_kubernetes(dialect="envoy"), ERRORS) == []


async def test_a_data_plane_that_nobody_scrapes_is_refused() -> None:
    ((certain, sentence),) = await lacks(Service(), on_kubernetes(), ERRORS)
    assert certain
    assert "and none of anything else: a scrape of what counts the requests, or `router.dialect` of one of" in sentence


@pytest.mark.parametrize(
    "there", ["traefik_config_reloads_total", "count(last_over_time(traefik_service_requests_total["]
)
async def test_numbers_that_come_with_the_first_request_are_no_obstacle(there: str) -> None:
    found = await lacks(Service(there), on_kubernetes(), ERRORS)
    assert [certain for certain, _ in found] == [False]
    assert "it comes with the first request" in found[0][1]


async def test_traffic_that_comes_by_another_gateway_is_seen_beside_the_own_one() -> None:
    service = Service("traefik_config_reloads_total", "increase(envoy_cluster_upstream_rq_xx{")
    found = await lacks(service, on_kubernetes(), ERRORS)
    assert [certain for certain, _ in found] == [True]
    assert "`router.dialect: envoy`" in found[0][1]


async def test_an_app_that_counts_by_itself_is_no_reason_to_refuse_a_quiet_gateway() -> None:
    service = Service("traefik_config_reloads_total", "http_server_request_duration_seconds_count")
    assert [certain for certain, _ in await lacks(service, on_kubernetes(), ERRORS)] == [False]


async def test_a_bound_without_a_bucket_is_refused_with_those_that_there_are() -> None:
    found = await lacks(Service("traefik_service_", bounds=(0.1, 0.3, 1.2, 5)), on_kubernetes(), SLOW)
    assert found == [
        (
            True,
            "Metric slow: no bucket of traefik_service_request_duration_seconds ends at 0.5 s: `slower_than` of 0.1 s, 0.3 s, "
            "1.2 s or 5 s is expected, or such a bucket in the data plane's settings.",
        )
    ]


async def test_memory_that_no_kubelet_tells_is_refused() -> None:
    ((certain, sentence),) = await lacks(Service(), on_kubernetes(), MEMORY)
    assert certain
    assert sentence.startswith(
        "Metric memory: Prometheus has no container_memory_working_set_bytes of container shop of"
    )


async def test_promql_that_is_wrong_is_refused_and_what_gives_nothing_yet_is_said() -> None:
    service = Service()
    service.wrong = {"avg_over_time"}
    found = await lacks(service, on_kubernetes(), OWN, GAUGE)
    assert [certain for certain, _ in found] == [False, True]
    assert found[0][1].startswith("Metric payments: `total` gives no number for stable; unless it comes with traffic")
    assert found[1][1] == "Metric queue: `query` cannot be measured: parse error."


async def test_a_step_that_ends_before_the_second_scrape_is_refused_with_its_patience() -> None:
    service = Service("payments_total", every=60.0)
    found = await lacks(service, on_kubernetes(), OWN, patience=60)
    assert found == [
        (
            True,
            "Metric payments is scraped every 60 s: a step needs 140 s to measure it and ends after 70 s, so `patience: 130s` "
            "in its analysis is expected, or shorter scrapes.",
        )
    ]
    assert await lacks(service, on_kubernetes(), OWN, patience=130) == []


@pytest.mark.parametrize("how", ["continue", "not critical"])
async def test_what_decides_nothing_stops_nothing(how: str) -> None:
    metrics = [ERRORS] if how == "continue" else [{**ERRORS, "critical": False}, {**GAUGE, "query": "vector(0)"}]
    analysis = {"on_inconclusive": "continue"} if how == "continue" else {}
    assert [certain for certain, _ in await lacks(Service(), on_kubernetes(), *metrics, **analysis)] == [False]
