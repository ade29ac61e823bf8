"""What a train decides: waves, the way back, and its outcome. Properties hold for any apps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.core.model.train import AppResult, Compensate, TrainApp
from release_pipelines.core.trains.compensation import next_step, way_back
from release_pipelines.core.trains.outcome import TrainFacts, train_outcome
from release_pipelines.core.trains.runs import run_back, run_of_app
from release_pipelines.core.trains.waves import circle_in, too_early, waves_of

NAMES = "abcdefgh"
RESULTS = st.sampled_from(["skipped", "not_started", "no_op", "released", "failed", "moved_on", "not_taken_back"])


def app(name: str, wave: int, result: AppResult = "released", held_at: float | None = None) -> TrainApp:
    return TrainApp(
        app=name,
        environment="production",
        wave=wave,
        position=NAMES.index(name),
        version="2.1",
        digest=f"sha256:{name * 64}",
        before_version="2.0",
        result=result,
        held_at=held_at if result == "released" else None,
    )


@st.composite
def trains(draw: st.DrawFn) -> tuple[list[TrainApp], dict[str, list[str]]]:
    """Apps that ended somehow, and needs of which each is of an earlier wave."""
    apps = [
        app(name, draw(st.integers(1, 4)), draw(RESULTS), draw(st.floats(1, 99)))
        for name in NAMES[: draw(st.integers(1, 8))]
    ]
    needs = {
        it.app: draw(st.lists(st.sampled_from(earlier), unique=True))
        for it in apps
        if (earlier := [other.app for other in apps if other.wave < it.wave])
    }
    return apps, needs


def taken_back(apps: list[TrainApp], compensate: Compensate, needs: dict[str, list[str]], fails: set[str], stop: int):
    """Go the way back to its end, as the task does: ask again after each app; the apps' order, and what became of all."""
    known, went = {it.app: it for it in apps}, []
    for _ in range(3 * len(apps)):
        order = [it.app for it in way_back(list(known.values()), compensate, stop)]
        step = next_step(list(known.values()), order, needs)
        if step is None:
            return went, known
        name = step.app.app
        if step.because_of:
            result = "stays"
        else:
            went.append(name)
            result = "not_taken_back" if name in fails else "taken_back"
        known[name] = known[name].model_copy(update={"result": result})
    raise AssertionError("it does not end")


def test_the_way_back_is_the_way_there_reversed() -> None:
    held = [("b", 1, 10.0), ("a", 1, 20.0), ("d", 2, 30.0), ("c", 2, 40.0)]
    apps = [*(app(name, wave, "released", at) for name, wave, at in held), app("e", 3, "failed")]
    assert [it.app for it in way_back(apps, "all", 3)] == ["c", "d", "a", "b"]
    assert way_back(apps, "wave", 3) == []
    assert way_back(apps, "none", 3) == []


@given(trains(), st.sampled_from(["all", "wave", "none"]), st.sets(st.sampled_from(NAMES)), st.integers(1, 4))
def test_only_what_the_train_released_goes_back_once_and_in_reverse(
    train: tuple[list[TrainApp], dict[str, list[str]]], compensate: Compensate, fails: set[str], stop: int
) -> None:
    apps, needs = train
    went, known = taken_back(apps, compensate, needs, fails, stop)
    by_name = {it.app: it for it in apps}
    assert len(went) == len(set(went)), "nothing goes back twice"
    assert all(by_name[name].result == "released" for name in went), "never an app that did not change"
    ways = [(by_name[name].wave, by_name[name].held_at) for name in went]
    assert ways == sorted(ways, reverse=True)
    if compensate == "none":
        assert went == []
    if compensate == "wave":
        assert {by_name[name].wave for name in went} <= {stop}
    if compensate == "all":
        assert not any(it.result == "released" for it in known.values()), "nothing is forgotten"


@given(trains(), st.sets(st.sampled_from(NAMES)))
def test_nothing_goes_back_from_under_what_needs_it(
    train: tuple[list[TrainApp], dict[str, list[str]]], fails: set[str]
) -> None:
    apps, needs = train
    _, known = taken_back(apps, "all", needs, fails, 1)
    for name, others in needs.items():
        if known[name].result in ("moved_on", "stays", "not_taken_back"):
            assert all(known[other].result != "taken_back" for other in others)


def test_one_that_fails_keeps_what_it_needs_and_the_others_go_on() -> None:
    apps = [
        app("a", 1, "released", 1),
        app("b", 1, "released", 2),
        app("c", 2, "released", 3),
        app("d", 2, "released", 4),
    ]
    went, known = taken_back(apps, "all", {"d": ["b"]}, {"d"}, 3)
    assert went == ["d", "c", "a"]
    assert {name: it.result for name, it in known.items()} == {
        "a": "taken_back",
        "b": "stays",
        "c": "taken_back",
        "d": "not_taken_back",
    }


@given(st.lists(st.sampled_from(NAMES), min_size=1, unique=True), st.data())
def test_waves_come_after_what_they_need_and_are_as_few_as_can_be(apps: list[str], data: st.DataObject) -> None:
    needs = {it: data.draw(st.lists(st.sampled_from(apps[:n]), unique=True)) for n, it in enumerate(apps) if n}
    waves = waves_of(apps, needs)
    assert sorted(app for wave in waves for app in wave) == sorted(apps)
    assert too_early(waves, needs) is None
    number = {app: n for n, wave in enumerate(waves) for app in wave}
    for it in apps:
        before = [number[other] for other in needs.get(it, ())]
        assert number[it] == max(before, default=-1) + 1


def test_a_circle_is_named_from_its_first_app_to_itself() -> None:
    assert circle_in({"a": ["b"], "b": ["c"], "c": ["a"]}) == ["a", "b", "c", "a"]
    assert circle_in({"a": ["a"]}) == ["a", "a"]
    assert circle_in({"a": ["b", "c"], "b": ["d"], "c": ["d"]}) is None
    with pytest.raises(ValueError, match="found b → a → b"):
        waves_of(["b", "a"], {"b": ["a"], "a": ["b"]})


@given(trains(), st.booleans())
def test_compensated_is_never_said_where_an_app_is_not_where_it_was(
    train: tuple[list[TrainApp], dict[str, list[str]]], aborted: bool
) -> None:
    apps, needs = train
    _, known = taken_back(apps, "all", needs, {"b"}, 1)
    outcome, sentence = train_outcome(TrainFacts("weekly", list(known.values()), "d failed", aborted=aborted))
    lost = [name for name, it in known.items() if it.result == "not_taken_back"]
    assert (outcome == "compensation_failed") == bool(lost)
    assert outcome not in ("released", "no_op")
    for it in lost:
        assert f"{it} failed to go back" in sentence
    assert all(it in sentence for it in known if known[it].held_at is not None)


@pytest.mark.parametrize(
    ("results", "reason", "outcome"),
    [
        ({"a": "released", "b": "no_op"}, None, "released"),
        ({"a": "no_op", "b": "no_op"}, None, "no_op"),
        ({"a": "no_op", "b": "skipped"}, None, "no_op"),
        ({"a": "released", "b": "failed"}, "b failed", "stopped"),
        ({"a": "taken_back", "b": "failed"}, "b failed", "compensated"),
        ({"a": "taken_back", "b": "not_taken_back"}, "b failed", "compensation_failed"),
        ({"a": "not_started", "b": "not_started"}, "nobody asks", "failed"),
        ({"a": "moved_on", "b": "taken_back"}, "x", "compensated"),
    ],
)
def test_outcomes(results: dict[str, AppResult], reason: str | None, outcome: str) -> None:
    apps = [app(name, 1, result, 1.0) for name, result in results.items()]
    assert train_outcome(TrainFacts("weekly", apps, reason))[0] == outcome


def test_a_rejected_one_is_rejected_and_one_that_nobody_answered_has_expired() -> None:
    apps = [app("a", 1, "not_started")]
    assert train_outcome(TrainFacts("weekly", apps, "bob rejected it", "rejected"))[0] == "rejected"
    assert train_outcome(TrainFacts("weekly", apps, "no answer", "expired"))[0] == "expired"
    assert train_outcome(TrainFacts("weekly", apps, None, aborted=True))[0] == "aborted"


def test_runs_have_one_name_for_each_train_and_another_when_it_is_cleared() -> None:
    train = "train_weekly/manual__2026-11-27T08:00:00+00:00#0"
    assert run_of_app(train) == "train_weekly.manual__2026-11-27T08:00:00+00:00"
    assert run_back(train, "cart") == "train_weekly.manual__2026-11-27T08:00:00+00:00.cart"
    assert run_of_app(train.replace("#0", "#1")) != run_of_app(train)
    long = f"train_weekly/{'x' * 300}"
    assert len(run_of_app(f"{long}y#0")) <= 250
    assert run_of_app(f"{long}y#0") != run_of_app(f"{long}z#0")
