"""What a release relies on in every router: what it writes is what it reads, and nothing else changes."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release_pipelines.adapters.kubernetes.client import Object
from release_pipelines.adapters.kubernetes.router import Backends, KubernetesRouter, applies, route_patch
from release_pipelines.core.capacity import pods_for_weight
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Match, Traffic, share_with
from release_pipelines.core.ports.router import Router

EXAMPLES = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    # One route sees all examples, as it sees all steps of a release; and every subclass runs the same test.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)

TESTERS = [
    Match(kind="header", name="X-Tester", value="yes"),
    Match(kind="cookie", name="tester", value="yes"),
    Match(kind="cookie", name="tester", value="a.b"),
]
THREE = Traffic(weights={"stable": 80, "canary": 10, "baseline": 10})
MIRRORED = [1, 20, 100]
TAKES_ALL: list[Track] = ["canary", "preview"]
"""Tracks that may have any share of the traffic."""


class RouterBench(ABC):
    """A router with a route of its own. In the beginning the route sends everything to stable, and also has something of others.

    :ivar router: the router; what it says that it can do is tried, and so is the rest.
    :ivar weights: percentages that a track beside stable can be given.
    """

    router: Router
    weights: Sequence[int] = range(101)

    @abstractmethod
    def write(self, traffic: Traffic) -> bool:
        """State the traffic; returns whether anything changed. Raises PlatformError for what the router cannot do."""

    @abstractmethod
    def read(self) -> Traffic:
        """The traffic as the route says it."""

    @abstractmethod
    def whole(self) -> Any:
        """All of the route, as a value that can be compared."""

    @abstractmethod
    def others(self) -> Any:
        """What the route has that is none of a release's business, as a value that can be compared."""


class RouterContract:
    """Subclass it, and give it a fixture ``bench``: a :class:`RouterBench`."""

    @pytest.fixture
    def bench(self) -> RouterBench:
        """The router under test; a subclass overrides it."""
        raise NotImplementedError("A fixture `bench` is expected in the subclass.")

    def test_in_the_beginning_stable_has_everything(self, bench: RouterBench) -> None:
        assert bench.read().same(ALL_TO_STABLE)

    @EXAMPLES
    @given(data=st.data(), track=st.sampled_from(TAKES_ALL))
    def test_weights_are_read_back_as_they_were_written(self, bench: RouterBench, data: Any, track: Track) -> None:
        wanted = share_with(track, data.draw(st.sampled_from(bench.weights)))
        others = bench.others()
        bench.write(wanted)
        assert bench.read().same(wanted)
        assert sum(bench.read().weights.values()) == 100
        assert bench.others() == others
        assert not bench.write(wanted), "what stands was written once more"

    @pytest.mark.parametrize("testers", TESTERS, ids=lambda it: f"{it.kind}-{it.value}")
    def test_testers(self, bench: RouterBench, testers: Match) -> None:
        can = "match" in bench.router.capabilities
        _read_back_or_refused(bench, can, Traffic(weights={"stable": 100}, testers=testers))

    @pytest.mark.parametrize("percent", MIRRORED)
    def test_mirrored_requests(self, bench: RouterBench, percent: int) -> None:
        can = "mirror" in bench.router.capabilities and percent in bench.router.mirror_percentages
        _read_back_or_refused(bench, can, Traffic(weights={"stable": 100}, mirror=percent))

    def test_clients_that_stay_with_their_track(self, bench: RouterBench) -> None:
        weight = next(it for it in bench.weights if 0 < it < 100)
        _read_back_or_refused(bench, "affinity" in bench.router.capabilities, share_with("canary", weight, sticky=True))

    def test_a_baseline_beside_the_canary(self, bench: RouterBench) -> None:
        _read_back_or_refused(bench, "baseline" in bench.router.capabilities, THREE)

    def test_a_traffic_of_everything_that_the_router_can(self, bench: RouterBench) -> None:
        """Steps follow each other: none leaves anything of the one before."""
        can = bench.router.capabilities
        steps = [share_with("canary", it) for it in bench.weights if it][:2]
        steps += [Traffic(weights={"stable": 100}, testers=it) for it in TESTERS if "match" in can]
        steps += [
            Traffic(weights={"stable": 100}, mirror=it)
            for it in MIRRORED
            if "mirror" in can and it in bench.router.mirror_percentages
        ]
        for step in [*steps, *reversed(steps)]:
            bench.write(step)
            assert bench.read().same(step)


def _read_back_or_refused(bench: RouterBench, can: bool, wanted: Traffic) -> None:
    bench.write(ALL_TO_STABLE)
    before, others = bench.whole(), bench.others()
    if not can:
        with pytest.raises(PlatformError) as refused:
            bench.write(wanted)
        said = str(refused.value)
        assert said
        assert "\n" not in said
        assert bench.whole() == before
        return
    assert bench.write(wanted)
    assert bench.read().same(wanted)
    assert bench.others() == others
    assert not bench.write(wanted), "what stands was written once more"
    bench.write(ALL_TO_STABLE)
    assert bench.whole() == before, "something of the split is left"


class KubernetesBench(RouterBench):
    """A router on Kubernetes, and its object in memory.

    :param route: the object, with something of others in it.
    :param backends: what the router chooses between; where pods make the weight, the number of stable's pods matters.
    :param others: what of the object is none of a release's business.
    """

    def __init__(
        self, router: KubernetesRouter, route: Object, backends: Backends, others: Callable[[Object], Any]
    ) -> None:
        self.router = router
        self.route = copy.deepcopy(route)
        self.backends = backends
        self._others = others
        self._written = ALL_TO_STABLE
        if router.pods_make_weight:
            self.weights = [it for it in range(101) if self._pods(it) is not None]

    def write(self, traffic: Traffic) -> bool:
        if self.router.pods_make_weight:
            pods: dict[Track, int] = {it: self._pods(traffic.weight(it)) or 1 for it in BESIDE if it in traffic.weights}
            self.backends = replace(self.backends, beside=pods)
        router = cast("KubernetesRouter", self.router)
        patch = route_patch(self.route, router, self.backends, traffic, RouteNote(traffic=traffic), 1)
        if applies(patch, self.route):
            return False
        self.route = cast("Object", _merged(self.route, patch))
        self._written = traffic
        return True

    def read(self) -> Traffic:
        return cast("KubernetesRouter", self.router).traffic(self.route, self.backends, self._written)

    def whole(self) -> Any:
        return copy.deepcopy(self.route["spec"])

    def others(self) -> Any:
        return copy.deepcopy(self._others(self.route))

    def _pods(self, weight: int) -> int | None:
        try:
            return pods_for_weight(self.backends.stable_pods, weight)
        except ValueError:
            return None


def _merged(current: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(current) if isinstance(current, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged
