"""What is looked at after a release: its stages, how it differs from another one, what was expected and what happened."""

from __future__ import annotations

from typing import Any

from release_pipelines.core.model.component import Component
from release_pipelines.core.model.records import Event, RecordedSample, RecordedVerdict, ReleaseDetail
from release_pipelines.core.model.verdict import MetricVerdict
from release_pipelines.core.review.comparison import (
    Changed,
    Pair,
    components,
    measurements,
    settings,
    stages,
)
from release_pipelines.core.review.retrospective import retrospective
from release_pipelines.core.review.stages import measured, steps


def verdict(step: str, at: float, weight: int = 10, limit: float = 0.01, judgement: str = "pass") -> RecordedVerdict:
    metric = MetricVerdict(metric="errors", judgement=judgement, limit=limit, sentence="errors were few")
    return RecordedVerdict(
        environment="production", judgement=judgement, decided_at=at, step=step, weight=weight, metrics=[metric], sentence="It held."
    )  # fmt: skip


def sample(step: str, at: float, **numbers: Any) -> RecordedSample:
    return RecordedSample(environment="production", step=step, metric="errors", at=at, **numbers)


def release(version: str = "1.2.0", **more: Any) -> ReleaseDetail:
    known = {"id": f"release_shop/{version}", "app": "shop", "dag_id": "release_shop", "run_id": version}
    return ReleaseDetail.model_validate({**known, "version": version, "started_at": 0.0, **more})


def test_a_stage_lasts_from_its_traffic_to_its_decision() -> None:
    told = Event(
        at=101.0, kind="traffic", environment="production", sentence="", data={"step": "10", "weight": 10, "at": 100.0}
    )
    found = steps(
        release(
            events=[told],
            verdicts=[verdict("25", 400.0, 25), verdict("10", 160.0)],
            measurements=[sample("10", 110.0), sample("25", 370.0)],
        )
    )
    assert [(it.name, it.weight, it.seconds) for it in found] == [("10", 10, 60.0), ("25", 25, 30.0)]
    assert steps(release(verdicts=[verdict("10", 160.0)]))[0].seconds is None, "nobody knows when it began"


def test_a_rate_is_all_bad_events_by_all_events_and_a_gauge_its_median() -> None:
    samples = [
        sample("10", 1.0, value=0.5, bad=1, total=2, stable_bad=0, stable_total=10),
        sample("10", 2.0, value=0.0, bad=0, total=18, stable_bad=1, stable_total=10),
        sample("10", 3.0, error="the metrics service did not answer"),
    ]
    [counts] = measured(release(measurements=samples))
    assert (counts.rate, counts.stable_rate, counts.samples, counts.failed) == (0.05, 0.05, 3, 1)
    [gauge] = measured(release(measurements=[sample("10", at, value=at) for at in (1.0, 2.0, 3.0, 10.0)]))
    assert (gauge.rate, gauge.middle, gauge.value) == (None, 2.5, 2.5)
    [nothing] = measured(release(measurements=[sample("10", 1.0, bad=0, total=0)]))
    assert nothing.value is None, "nothing by nothing is no number"


def test_components_are_told_apart_by_their_kind_and_compared_by_their_versions() -> None:
    def of(*purls: str) -> list[Component]:
        return [
            Component(name=it.split("/")[-1], version=it.rpartition("@")[2].partition("?")[0], purl=it) for it in purls
        ]

    found = components(
        of("pkg:npm/left-pad@1.0", "pkg:npm/%40acme/ui@2.0", "pkg:pypi/left-pad@3.0", "pkg:deb/debian/libc6@2.36?arch=amd64"),
        of("pkg:npm/left-pad@1.1", "pkg:npm/%40acme/ui@2.0", "pkg:pypi/rich@9.0", "pkg:deb/debian/libc6@2.36?arch=arm64"),
    )  # fmt: skip
    assert found.changed == [Changed("pkg:npm/left-pad", ("1.0",), ("1.1",))]
    assert found.added == [Changed("pkg:pypi/rich", (), ("9.0",))]
    assert found.removed == [Changed("pkg:pypi/left-pad", ("3.0",), ())]


def test_a_component_that_is_there_in_two_versions_is_one_line() -> None:
    def of(*versions: str) -> list[Component]:
        return [Component(name="ms", version=it) for it in versions]

    assert components(of("2.0", "1.0"), of("2.0")).changed == [Changed("ms", ("1.0", "2.0"), ("2.0",))]


def test_stages_and_measurements_stand_side_by_side_also_where_one_has_none() -> None:
    left = release("1.1.0", verdicts=[verdict("10", 60.0)], measurements=[sample("10", 1.0, bad=1, total=4)])
    right = release(verdicts=[verdict("10", 90.0), verdict("25", 120.0)])
    assert [(it.left and it.left.name, it.right and it.right.name) for it in stages(left, right)] == [
        ("10", "10"),
        (None, "25"),
    ]
    [first, second] = measurements(left, right)
    assert first.left is not None
    assert (first.left.rate, second.left) == (0.25, None)


def test_settings_differ_as_far_as_the_records_tell() -> None:
    def deployed(replicas: int, digest: str) -> Event:
        data = {"environment": "production", "digest": digest, "stable_replicas": replicas}
        return Event(at=1.0, kind="deployed", environment="production", sentence="", data=data)

    left = release("1.1.0", verdicts=[verdict("10", 60.0)], events=[deployed(2, "sha256:a")])
    right = release(verdicts=[verdict("10", 90.0, weight=20, limit=0.02)], events=[deployed(3, "sha256:b")])
    assert settings(left, right) == [
        ("production: limit of errors in 10", Pair("0.01", "0.02")),
        ("production: stable_replicas", Pair("2", "3")),
        ("production: traffic in 10", Pair("10 %", "20 %")),
    ]


def test_settings_differ_by_their_specifications_and_no_variable_of_a_container_is_shown() -> None:
    before = {"app": {"port": 80, "env": {"KEY": "secret-1", "OLD": "x"}}, "steps": [10, 50]}
    after = {"app": {"port": 81, "env": {"KEY": "secret-2"}}, "steps": [10]}
    found = settings(release(), release(), Pair(before, after))
    assert found == [
        ("app.env.KEY", Pair("set", "set, to something else")),
        ("app.env.OLD", Pair("set", None)),
        ("app.port", Pair("80", "81")),
        ("steps[1]", Pair("50", None)),
    ]


def test_what_was_expected_and_what_happened_come_from_the_records() -> None:
    it = release(
        notes="Prices in euro.",
        outcome="released",
        sentence="It serves everybody.",
        ended_at=3600.0,
        verdicts=[verdict("10", 60.0)],
        measurements=[sample("10", 30.0, bad=0, total=9)],
    )
    found = retrospective(it, [60.0, 120.0, 600.0])
    assert found.expected == [
        ("change notes", "Prices in euro."),
        ("limit of errors", "0.01"),
        ("duration", "2 min: the median of the last 3 good releases before it"),
    ]
    assert found.happened == [
        ("outcome", "released"),
        ("why", "It serves everybody."),
        ("10 in production (10 %)", "pass after 30 s: It held."),
        ("duration", "1 h"),
    ]
    assert retrospective(release()).expected == [], "an old history says nothing"
