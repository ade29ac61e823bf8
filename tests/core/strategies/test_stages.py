"""Strategies as data: which stages a release goes through, and what capacity each needs (R5, R18)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.core.capacity import capacity_of
from release_pipelines.core.model.stage import Check, Question, Stage
from release_pipelines.core.model.traffic import Match, Traffic
from release_pipelines.spec.app import AppSpec
from release_pipelines.spec.environment import EnvironmentSpec
from release_pipelines.spec.loader import DEFAULT_ANALYSIS
from release_pipelines.spec.release import ReleaseSpec
from release_pipelines.spec.stages import retire_after, stages, strategy_name, track_of
from release_pipelines.spec.target import target


def release(strategy=None, router="traefik", analysis=DEFAULT_ANALYSIS, **app):
    production = EnvironmentSpec.model_validate(
        {
            "name": "production",
            "platform": "container_host" if router == "traefik" else "kubernetes",
            "connections": {"platform": "host", "engine": "engine", "registry": "hub", "prometheus": "prom"},
            "address": {"url": "http://127.0.0.1:8000", "host": "{app}.example"},
            "router": {"kind": router},
            "approvers": ["bob"],
        }
    )
    named = {"name": "storefront", "strategy": strategy or {}, "environments": ["production"], **app}
    return ReleaseSpec(app=AppSpec.model_validate(named), environments=[production], analysis=analysis)


def canary(*steps, **more):
    return {"canary": {"steps": list(steps), **more}}


TEN = {"weight": 10, "hold": "1m"}
KAYENTA = {
    "judge": "kayenta",
    "kayenta": {"baseline": "fresh"},
    "metrics": [{"name": "errors", "source": "errors", "limit": "1%"}],
}


# --- canary -----------------------------------------------------------------------------------------------------------


def test_a_canary_rises_by_its_steps_and_ends_with_the_bake():
    found = stages(release(canary(TEN, {"weight": 50, "hold": {"min": "1m", "max": "10m"}}, bake="5m")))
    assert [(it.name, it.weight, it.hold.min, it.hold.max) for it in found] == [
        ("step_10", 10, 60, 60),
        ("step_50", 50, 60, 600),
        ("bake", 100, 300, 300),
    ]
    assert [it.last for it in found] == [False, False, True]
    assert {it.track for it in found} == {"canary"}


def test_every_kind_of_step_has_its_own_stage():
    found = stages(
        release(
            canary(
                {"match": {"header": "X-Tester", "value": "yes"}, "hold": "1m"},
                {"match": {"cookie": "tester", "value": "yes"}, "hold": "1m"},
                {"mirror": 20, "hold": "1m"},
                TEN,
                {"verify": {"command": ["check"]}},
                {"approval": {"timeout": "2h"}},
            )
        )
    )
    assert [it.name for it in found] == [
        "testers_1", "testers_2", "mirror_3", "step_10", "verify_5", "approval_6", "bake",
    ]  # fmt: skip
    by_header, by_cookie, mirror, _, check, question, _ = found
    assert by_header.traffic.testers == Match(kind="header", name="x-tester", value="yes")
    assert by_cookie.traffic.testers == Match(kind="cookie", name="tester", value="yes")
    assert [it.weight for it in (by_header, by_cookie, mirror)] == [0, 0, 0]
    assert mirror.traffic.mirror == 20
    assert isinstance(check, Check)
    assert check.verify.command == ["check"]
    assert isinstance(question, Question)
    assert question.approval.timeout == 7200


def test_settings_of_the_canary_reach_every_stage():
    found = stages(release(canary(TEN, affinity=True, on_drift="abort", auto_rollback=False, replicas=3)))
    assert all(it.traffic.sticky and it.on_drift == "abort" and it.wait_for_person for it in found)
    assert [it.replicas for it in found] == [3, None]  # at 100 % it needs stable's capacity, whatever was fixed


def test_a_steps_own_analysis_holds_for_that_step_alone():
    own = {"judge": "threshold", "metrics": [{"name": "queue", "query": "depth", "limit": 5}]}
    first, second, bake = stages(release(canary({**TEN, "analysis": own}, {"weight": 50, "hold": "1m"})))
    assert first.analysis.metrics[0].name == "queue"
    assert second.analysis == bake.analysis == DEFAULT_ANALYSIS


def test_a_fresh_baseline_gets_as_much_as_the_canary_and_the_bake_has_none():
    step, bake = stages(release(canary({**TEN, "analysis": KAYENTA})))
    assert step.traffic == Traffic(weights={"stable": 80, "canary": 10, "baseline": 10})
    assert step.weight == 10
    assert bake.traffic.weights == {"stable": 0, "canary": 100}


@given(st.lists(st.integers(1, 99), min_size=1, max_size=6, unique=True).map(sorted), st.booleans())
def test_weights_are_whole_in_every_stage(weights, fresh):  # R5
    steps = [{"weight": it, "hold": "1m", **({"analysis": KAYENTA} if fresh and it <= 50 else {})} for it in weights]
    found = stages(release(canary(*steps)))
    assert [it.weight for it in found] == [*weights, 100]
    assert all(sum(it.traffic.weights.values()) == 100 for it in found)
    assert len({it.name for it in found}) == len(found)  # names of tasks, and of steps in notes


# --- blue-green and rolling -------------------------------------------------------------------------------------------


def test_blue_green_switches_all_traffic_and_bakes():
    (bake,) = stages(release({"blue_green": {"bake": "2m"}}))
    assert (bake.name, bake.track, bake.weight, bake.last) == ("bake", "preview", 100, True)
    assert bake.hold.max == 120


def test_blue_green_may_wait_for_a_person_before_it_switches():
    question, bake = stages(release({"blue_green": {"auto_promote": False, "promote_timeout": "10m"}}))
    assert (question.name, question.approval.timeout) == ("let_over", 600)
    assert bake.last


def test_rolling_is_judged_after_each_batch():
    found = stages(release({"rolling": {"batches": [25, 50], "hold": "1m", "bake": "3m", "auto_rollback": False}}))
    assert [(it.name, it.share, it.weight, it.hold.max) for it in found] == [
        ("batch_25", 25, 25, 60),
        ("batch_50", 50, 50, 60),
        ("bake", 100, 100, 180),
    ]
    assert all(it.track == "stable" and it.traffic is None and it.wait_for_person for it in found)


@pytest.mark.parametrize(
    ("strategy", "name", "track", "seconds"),
    [
        ({}, "canary", "canary", 30),
        (canary(TEN, retire_after="5s"), "canary", "canary", 5),
        ({"blue_green": {"retire_after": "1m"}}, "blue_green", "preview", 60),
        ({"rolling": {}}, "rolling", "stable", 0),
    ],
)
def test_a_strategy_names_its_track_and_how_long_it_stays(strategy, name, track, seconds):  # R15
    spec = release(strategy)
    assert (strategy_name(spec), track_of(spec), retire_after(spec)) == (name, track, seconds)


# --- capacity ---------------------------------------------------------------------------------------------------------


def stage(*steps, **more):
    found = stages(release(canary(*steps, **more)))[0]
    assert isinstance(found, Stage)
    return found


@given(st.integers(1, 99), st.integers(1, 200))
def test_capacity_follows_the_weight_and_is_never_nothing(weight, stable):  # R5
    found = capacity_of(stage({"weight": weight, "hold": "1m"}), target(release(), "production"), stable)
    assert found >= 1
    assert found * 100 >= stable * weight > (found - 1) * 100 - 99


@given(st.integers(1, 200))
def test_the_bake_has_stables_capacity_whatever_was_fixed(stable):  # R5
    bake = stages(release(canary(TEN, replicas=1)))[-1]
    assert capacity_of(bake, target(release(), "production"), stable) == stable


def test_a_fixed_capacity_holds_for_the_steps():
    assert capacity_of(stage(TEN, replicas=7), target(release(), "production"), 2) == 7


def test_a_batch_has_stables_capacity_whatever_its_share_and_router():
    spec = release({"rolling": {"batches": [33]}}, router="replicas")
    batch = stages(spec)[0]
    assert isinstance(batch, Stage)
    assert capacity_of(batch, target(spec, "production"), 3) == 3


def test_mirrored_requests_need_capacity_too():
    assert capacity_of(stage({"mirror": 50, "hold": "1m"}, TEN), target(release(), "production"), 8) == 4


def test_testers_alone_need_one_replica():
    tester = stage({"match": {"header": "X-Tester", "value": "yes"}, "hold": "1m"}, TEN)
    assert capacity_of(tester, target(release(), "production"), 8) == 1


def test_where_pods_split_the_traffic_capacity_is_the_weight():
    spec = release(canary({"weight": 20, "hold": "1m"}), router="replicas")
    found = stages(spec)[0]
    assert capacity_of(found, target(spec, "production"), 4) == 1
    with pytest.raises(ValueError, match="3 stable pods cannot make a weight of 20 %"):
        capacity_of(found, target(spec, "production"), 3)
