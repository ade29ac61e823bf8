"""What tools that look at a running app say, and what it does not prove."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.site import accessibility, zap
from release_pipelines.core.site.load import Load, NotMeasured, judged, load_of

HEAD = "Total of 4 URLs\nPASS: Cookie No HttpOnly Flag [10010]\n"


def printed(failed: int = 0, warned: int = 0, passed: int = 60, head: str = HEAD) -> str:
    alerts = [f"FAIL-NEW: Bad {n} [4000{n}] x 2 \n\thttp://shop/ (200 OK)\n" for n in range(failed)]
    alerts += [f"WARN-NEW: Header {n} [1000{n}] x 4 \n\thttp://shop/ (200 OK)\n" for n in range(warned)]
    counts = (
        f"FAIL-NEW: {failed}\tFAIL-INPROG: 0\tWARN-NEW: {warned}\tWARN-INPROG: 0\tINFO: 0\tIGNORE: 0\tPASS: {passed}\n"
    )
    return head + "".join(alerts) + counts


def test_zap_finds_failures_and_warnings() -> None:
    assert zap.findings_in(printed(), 0) == []
    found = zap.findings_in(printed(failed=1, warned=2), 1)
    assert [(it.severity, it.rule) for it in found] == [
        ("high", "zap-40000"),
        ("medium", "zap-10000"),
        ("medium", "zap-10001"),
    ]
    assert [it.severity for it in zap.findings_in(printed(warned=1), 2)] == ["medium"]


@pytest.mark.parametrize(
    ("output", "code", "why"),
    [
        (printed(), 3, r"did not run \(exit code 3\)"),
        ("", 3, "did not run"),
        ("", 0, "printed no summary"),
        ("", -1, "did not run"),
        (printed(head=""), 0, "printed no summary"),
        (printed(head="Total of 0 URLs\n"), 0, "looked at 0 pages"),
        (printed(passed=0), 0, "by 0 rules"),
        (printed(warned=1), 0, "exit code 0, and its summary says 0 failed and 1 warned"),
        (printed(), 1, "exit code 1, and its summary says 0 failed"),
        (printed(failed=1).replace("FAIL-NEW: Bad", "Bad"), 1, "names 0 of 1 alerts"),
    ],
)
def test_what_zap_did_not_look_at_is_unknown(output: str, code: int, why: str) -> None:
    with pytest.raises(zap.NotLooked, match=why):
        zap.findings_in(output, code)


def test_a_violation_without_an_impact_is_of_unknown_severity_and_no_rule_at_all_is_no_look() -> None:
    node = {"target": ["img"]}
    report = {
        "passes": [],
        "violations": [{"id": "image-alt", "impact": None, "help": "Images need words", "nodes": [node]}],
    }
    [found] = accessibility.findings_in("/", report)
    assert (found.severity, found.rule) == ("unknown", "image-alt")
    with pytest.raises(accessibility.NotLooked):
        list(accessibility.findings_in("/", {"passes": [], "violations": []}))


def summary(bad: int, all_: int, **more: Any) -> dict[str, Any]:
    return {"metrics": {"http_req_failed": {"passes": bad, "fails": all_ - bad}, **more}}


def test_passes_of_failed_requests_are_those_that_failed_and_true_is_a_threshold_that_was_crossed() -> None:
    kept = {"http_req_duration": {"thresholds": {"p(95)<500": False}}}
    load = load_of(summary(3, 100, **kept), 0, "a")
    assert (load.counts["errors"], load.crossed) == ((3, 100), [])
    crossed = {"http_req_duration": {"thresholds": {"p(95)<500": True}}}
    assert load_of(summary(3, 100, **crossed), 99, "a").crossed == ["http_req_duration: p(95)<500"]
    with pytest.raises(NotMeasured, match="exit code 0, and its summary has 1 crossed"):
        load_of(summary(3, 100, **crossed), 0, "a")
    with pytest.raises(NotMeasured, match="exit code 99, and its summary has 0 crossed"):
        load_of(summary(3, 100), 99, "a")


def test_load_that_could_not_be_sent_or_was_never_sent_is_not_measured() -> None:
    with pytest.raises(NotMeasured, match="100 of 200 requests could not be sent in time"):
        load_of(summary(0, 100, dropped_iterations={"count": 100}), 0, "a")
    assert load_of(summary(0, 100, dropped_iterations={"count": 1}), 0, "a").counts["errors"] == (0, 100)
    with pytest.raises(NotMeasured, match="no request was sent"):
        load_of(summary(0, 0), 0, "a")
    with pytest.raises(NotMeasured, match="no request was sent"):
        load_of({"metrics": {}}, 0, "a")


@pytest.mark.parametrize(
    ("bad", "before", "good"),
    [(0, None, True), (5, None, True), (60, None, False), (5, 5, True), (45, 0, False), (200, 200, False)],
)
def test_a_version_is_judged_by_its_limit_and_by_the_last_good_release(
    bad: int, before: int | None, good: bool
) -> None:
    metric = Metric(name="errors", source="errors", limit=0.05)
    earlier = None if before is None else Load(definition="a", counts={"errors": (before, 1000)})
    verdict, sentence = judged(Load(definition="a", counts={"errors": (bad, 1000)}), earlier, [metric])
    assert verdict is good, sentence


def test_too_few_requests_are_not_judged() -> None:
    metric = Metric(name="errors", source="errors", limit=0.05, min_requests=100)
    with pytest.raises(NotMeasured, match="at least 100 are needed"):
        judged(Load(definition="a", counts={"errors": (0, 99)}), None, [metric])
