"""The report about a release that did not stay: what a person reads at night (R8, R13)."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.core.model.command import Command
from release_pipelines.core.model.observation import Observed, TrackStatus
from release_pipelines.core.model.records import Approval, Event, RecordedVerdict, ReleaseDetail, Stability
from release_pipelines.core.model.route import Route
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import Traffic
from release_pipelines.core.model.verdict import MetricVerdict
from release_pipelines.features.report.incident_report import incident_report, what_to_do

BAD, GOOD, OLD = (f"sha256:{letter * 64}" for letter in "bca")
START = 1764036000.0  # 2025-11-25 02:00:00 UTC
NUMBERS = "error rate 4.8 % over 1,204 requests, limit 1 % (stable: 0.1 %)"


def release(**given: Any) -> ReleaseDetail:
    """1.1.0, rolled back at 25 %."""
    metric = MetricVerdict(metric="errors", judgement="fail", value=0.048, limit=0.01, sentence=NUMBERS)
    verdict = RecordedVerdict(
        environment="production",
        step="step_25",
        weight=25,
        judgement="fail",
        decided_at=START + 252,
        accepted_at=START + 252.3,
        metrics=[metric],
        sentence=NUMBERS,
    )
    told: dict[str, Any] = {
        "id": "release_shop/one#0",
        "app": "shop",
        "dag_id": "release_shop",
        "run_id": "one",
        "version": "1.1.0",
        "digest": BAD,
        "image": "registry.example/shop",
        "requester": "alice",
        "outcome": "rolled_back",
        "sentence": f"Rolled back 1.1.0 at 25 %: {NUMBERS}, traffic is back on 1.0.0.",
        "started_at": START,
        "ended_at": START + 260,
        "verdicts": [verdict],
        "approvals": [
            Approval(release_id="release_shop/one#0", digest=BAD, decision="approved", by="bob", at=START + 60)
        ],
        "events": [
            Event(at=START + 70, kind="deployed", environment="production", sentence="1.1.0 runs beside 1.0.0"),
            Event(at=START + 254, kind="rollback", environment="production", sentence="all traffic back to 1.0.0"),
            Event(at=START + 256, kind="verified", environment="production", sentence="all traffic is on 1.0.0"),
            Event(at=START + 261, kind="notified", sentence="webhook was told"),
        ],
    }
    return ReleaseDetail.model_validate({**told, **given})


def version(name: str, digest: str, *, good: bool) -> Stability:
    return Stability(version=name, digest=digest, promoted=1, held=1, last_at=START, good=good, why="it held.")


VERSIONS = [
    version("1.1.0", BAD, good=False),
    version("1.0.0", GOOD, good=True),
    version("0.9.0", OLD, good=True),
]


def runs(weights: dict[Track, int], **ready: int) -> Observed:
    """Two replicas wanted on each track; ``stable=1`` are ready."""
    versions = {"stable": ("1.0.0", GOOD), "canary": ("1.1.0", BAD)}
    tracks = {
        track: TrackStatus(track=track, version=versions[track][0], digest=versions[track][1], wanted=2, ready=count)  # type: ignore[arg-type]
        for track, count in ready.items()
    }
    return Observed(tracks=tracks, route=Route(traffic=Traffic(weights=weights)))  # type: ignore[arg-type]


def test_the_report_says_what_when_why_and_who_with_numbers() -> None:  # R13
    said = incident_report(release(), "production", VERSIONS, ["production-step_25-errors.svg"])
    assert said.startswith("# shop 1.1.0 in production: rolled back\n\n> Rolled back 1.1.0 at 25 %: error rate 4.8 %")
    for row in (
        f"| image | registry.example/shop@{BAD} |",
        "| started | 2025-11-25 02:00:00.000 |  |",
        "| decided | 2025-11-25 02:04:12.000 | 4 min 12 s after the start |",
        "| traffic safe | 2025-11-25 02:04:12.300 | 300 ms after the decision |",
        "| ended | 2025-11-25 02:04:20.000 | 4 min 20 s in all |",
        f"| production | step_25 | 25 % | errors | fail | {NUMBERS} |",
        "| asked by | alice | 2025-11-25 02:00:00.000 |",
        "| approved | bob | 2025-11-25 02:01:00.000 |",
        "- `production-step_25-errors.svg`",
        "| 1.0.0 | 1 | 1 | 0 | 0 | yes: it held. |",
    ):
        assert row in said.splitlines(), row


def test_the_timeline_is_in_order_and_ends_with_the_outcome() -> None:
    command = Command(
        id=1, release_id="x", kind="abort", by="carol", reason="prices | are wrong", at=START + 200, answered_at=START
    )
    said = incident_report(release(commands=[command]), "production")
    rows = said.partition("## Timeline")[2].strip().splitlines()[4:]
    times = [row.split("|")[1].strip() for row in rows]
    assert times == sorted(times)
    whats = [row.split(" | ")[1] for row in rows]
    assert whats == [
        "begun",
        "approved",
        "deployed (production)",
        "abort",
        "verdict of step_25: fail",
        "router",
        "rollback (production)",
        "verified (production)",
        "ended",
    ]
    assert r"by carol: prices \| are wrong" in said  # what a person wrote breaks no table


def test_what_people_wrote_stays_text() -> None:  # R11
    said = incident_report(
        release(sentence="Aborted: <img src=x> [here](http://evil)", outcome="aborted"), "production"
    )
    assert "> Aborted: &lt;img src=x> \\[here](http://evil)" in said


def test_after_a_rollback_nothing_is_urgent() -> None:
    steps = what_to_do(release(), "production", VERSIONS, runs({"stable": 100}, stable=2))
    assert steps[0] == (
        "Nothing is urgent: production is served. Stable runs 1.0.0 (2 of 2 ready) with 100 % of the traffic."
    )
    assert "`release show release_shop/one#0`" in steps[1]


def test_a_failed_rollback_says_where_the_traffic_is_and_which_dag_to_run() -> None:  # R8
    failed = release(outcome="rollback_failed", sentence="Rollback of 1.1.0 failed: 1.0.0 did not become ready.")
    steps = what_to_do(failed, "production", VERSIONS, runs({"stable": 100}, stable=0))
    assert steps[0] == "Stable runs 1.0.0 (0 of 2 ready) with 100 % of the traffic."
    assert steps[1] == "Some of the traffic has no ready replica: act now."
    assert (
        """`airflow dags trigger release_rollback --conf '{"app": "shop", "environment": "production", """
        """"version": "1.0.0", "reason": "…"}'`"""
    ) in steps[3]
    assert "Go back to 1.0.0 (or to 0.9.0)" in steps[3]
    assert "| traffic safe | not known | see what to do now |" in incident_report(
        failed.model_copy(update={"verdicts": [], "events": []}), "production"
    )


def test_a_canary_that_serves_after_a_failed_promotion_is_left_alone() -> None:  # R18
    failed = release(outcome="rollback_failed", sentence="stable did not become ready with 1.1.0")
    steps = what_to_do(failed, "production", VERSIONS, runs({"stable": 0, "canary": 100}, stable=0, canary=2))
    assert "canary runs 1.1.0 (2 of 2 ready) with 100 % of the traffic" in steps[0]
    assert steps[1] == "All of the traffic reaches ready replicas of canary (1.1.0): there is time to look."
    assert steps[2].startswith("Leave canary alone: it is what serves.")
    assert not any("release_rollback" in step for step in steps)


def test_where_nothing_good_is_known_the_way_is_forward() -> None:
    failed = release(outcome="rollback_failed")
    steps = what_to_do(failed, "production", VERSIONS[:1], None)
    assert steps[0] == "It could not be seen where the traffic is."
    assert any("No other version is known to be good" in step and "`release_shop`" in step for step in steps)


@pytest.mark.parametrize("outcome", ["rolled_back", "aborted"])
def test_traffic_without_a_ready_replica_is_never_called_safe(outcome: str) -> None:  # R5
    steps = what_to_do(release(outcome=outcome), "production", VERSIONS, runs({"stable": 100}, stable=0))
    assert "Some of the traffic has no ready replica: act now." in steps


def test_an_inconclusive_step_that_went_on_decided_nothing() -> None:
    early = release().verdicts[0].model_copy(update={"judgement": "inconclusive", "step": "step_5"})
    late = release().verdicts[0].model_copy(update={"judgement": "pass", "decided_at": START + 300})
    said = incident_report(release(verdicts=[early, late], events=[]), "production")
    assert "| decided |" not in said
