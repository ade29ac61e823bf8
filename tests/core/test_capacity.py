"""Capacity where stable's number of replicas is not the one in the file (R5)."""

from __future__ import annotations

import pytest

from release_pipelines.core.capacity import capacity_of, fitted, weights_of_pods
from release_pipelines.core.model.hold import Hold, return_hold
from release_pipelines.core.model.target import Target
from tests.fakes import target
from tests.progression.helpers import stage


def without_mesh() -> Target:
    it = target()
    return it.model_copy(update={"router": it.router.model_copy(update={"kind": "replicas"})})


@pytest.mark.parametrize("stable", range(1, 40))
@pytest.mark.parametrize("weight", [1, 10, 25, 50, 75, 99])
def test_where_pods_make_the_weight_the_nearest_one_is_taken_whatever_stable_has(stable: int, weight: int) -> None:
    step = fitted(stage(weight=weight), without_mesh(), stable)
    assert capacity_of(step, without_mesh(), stable) >= 1


def test_a_weight_that_pods_make_and_one_that_a_router_makes_stay() -> None:
    assert fitted(stage(weight=25), without_mesh(), 3).weight == 25
    assert fitted(stage(weight=25), without_mesh(), 4).weight == 20
    assert fitted(stage(weight=25), target(), 4).weight == 25
    assert fitted(stage(weight=100), without_mesh(), 4).weight == 100


def test_while_no_pod_comes_or_goes_there_is_one_weight_on_the_way_back() -> None:
    assert weights_of_pods(without_mesh(), [75, 50, 25], 4, 3) == [43]
    assert weights_of_pods(without_mesh(), [], 4, 3) == []
    assert weights_of_pods(target(), [75, 50, 25], 4, 3) == [75, 50, 25]


def test_the_way_back_is_watched_as_fits_the_bake() -> None:
    assert return_hold(None, Hold(min=600, max=600)) == 15
    assert return_hold(None, Hold(min=8, max=600)) == 2
    assert return_hold(40, Hold(min=8, max=8)) == 40
