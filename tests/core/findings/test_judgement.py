"""What stops a release of all that was found, and what is new of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.core.findings.comparison import Serving
from release_pipelines.core.findings.feeds import KnownExploited, Scores
from release_pipelines.core.findings.judgement import Demand, judge
from release_pipelines.core.model.finding import SEVERITIES, Finding, ScanResult
from tests.core.findings.findings import GRAFANA, NOW, A, B, code, exemption, flaw, found, rules, unknown

DAY = 86400.0
LIB_1, LIB_2 = "pkg:npm/lib@1.0", "pkg:npm/lib@1.1"


def test_what_blocks_is_told_with_its_names_place_and_fix() -> None:
    one = flaw(
        "GHSA-w62r-7c53-fmc5",
        GRAFANA,
        "critical",
        aliases=["CVE-2025-41115"],
        fixed_in="12.0.7",
        platform="linux/arm64",
    )
    sentence = judge({"grype": [found(one)]}, rules(), NOW).sentence("grype")
    assert sentence == (
        "grype found 1 critical (findings from high on stop the release), like CVE-2025-41115 (GHSA-w62r-7c53-fmc5) in "
        "github.com/grafana/grafana 12.0.0 on linux/arm64: Bad; fixed in 12.0.7."
    )


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("limit", SEVERITIES)
def test_a_severity_blocks_from_the_limit_on(severity: str, limit: str) -> None:
    passes = judge({"it": [found(flaw("CVE-1", severity=severity))]}, rules(block_on=limit), NOW).passes
    assert passes == (SEVERITIES.index(severity) < SEVERITIES.index(limit))


def test_only_what_can_be_fixed_blocks_where_that_is_wanted_but_for_what_is_exploited_and_for_code() -> None:
    fixable = rules(only_fixable=True, known_exploited="kev.json")
    none = KnownExploited({"CVE-9": ""}, NOW)
    assert judge({"it": [found(flaw("CVE-1"))]}, fixable, NOW, known_exploited=none).passes
    assert not judge({"it": [found(flaw("CVE-1", fixed_in="2"))]}, fixable, NOW, known_exploited=none).passes
    assert not judge({"it": [found(flaw("CVE-9"))]}, fixable, NOW, known_exploited=none).passes
    assert not judge({"it": [found(code())]}, fixable, NOW, known_exploited=none).passes


def test_what_could_not_look_blocks_and_is_told_before_what_was_found() -> None:
    judged = judge({"trivy": [unknown(), unknown("bandit broke")], "it": [found(code())]}, rules(), NOW)
    assert judged.unknown == ["unknown: trivy could not look.", "unknown: bandit broke"]
    assert judged.sentence("The scanners").startswith(
        "unknown: trivy could not look. 1 more could not be looked at. The scanners"
    )
    assert not judged.passes


@pytest.mark.parametrize(
    ("results", "demand", "said"),
    [
        ({}, Demand(), "no scanner has looked"),
        ({"bandit": [found()]}, Demand(["bandit", "trivy"]), "trivy has not looked"),
        ({"trivy": []}, Demand(["trivy"]), "trivy has not looked"),
        ({"trivy": [found(subject="sha256:a")]}, Demand(["trivy"], {"sha256:a": "linux/amd64", "sha256:b": "linux/arm64"}),
         "has not looked at linux/arm64 (sha256:b)"),
        ({"trivy": [found(subject="sha256:a"), found(subject="sha256:c")]}, Demand(images={"sha256:a": "linux/amd64"}),
         "looked at sha256:c, which is no image of this release"),
        ({"trivy": [ScanResult(status="findings", sentence="x")]}, Demand(), "does not say what"),
    ],
)  # fmt: skip
def test_what_nobody_has_looked_at_is_unknown(results: dict[str, Any], demand: Demand, said: str) -> None:
    (sentence,) = judge(results, rules(), NOW, demand=demand).unknown
    assert said in sentence


def test_data_that_are_old_of_no_age_or_from_the_future_are_unknown_where_their_age_matters() -> None:
    limit = rules(data_older_than="3d")
    vulnerable = flaw("CVE-1", severity="low")
    assert judge({"trivy": [found(vulnerable, data_at=NOW - 2 * DAY)]}, limit, NOW).passes
    assert judge({"trivy": [found(data_at=NOW - 4 * DAY)]}, rules(), NOW).passes
    old = judge({"trivy": [found(data_at=NOW - 4 * DAY)]}, limit, NOW)
    assert old.unknown == ["unknown: the data of trivy are 96 h old, the limit is 72 h."]
    assert "does not say how old" in judge({"trivy": [found(vulnerable)]}, limit, NOW).unknown[0]
    assert "from the future" in judge({"trivy": [found(data_at=NOW + 2 * DAY)]}, limit, NOW).unknown[0]
    assert judge({"bandit": [found(code(severity="low"))]}, limit, NOW).passes


def test_a_feed_that_is_asked_for_and_not_there_or_old_is_unknown() -> None:
    asked = rules(known_exploited="kev.json", epss={"at_least": "10%", "data": "epss.csv"}, data_older_than="3d")
    assert len(judge({"it": [found()]}, asked, NOW).unknown) == 2
    old = judge(
        {"it": [found()]}, asked, NOW, known_exploited=KnownExploited({"A": ""}, NOW - 9 * DAY), scores=Scores({"A": 1})
    )
    assert ["days" in it or "old" in it for it in old.unknown] == [True, True]


def test_a_flaw_that_a_newer_version_of_the_component_still_has_is_neither_new_nor_fixed() -> None:
    serving = Serving("1.1.0", {"grype": [found(flaw("CVE-1", LIB_1))]})
    judged = judge({"grype": [found(flaw("CVE-1", LIB_2))]}, rules(), NOW, serving=serving)
    assert [it.standing for it in judged.blocking] == ["same"]
    assert judged.fixed == []
    assert judged.sentence("grype").endswith("Not new: 1.1.0 serves with it.")


def test_what_is_new_and_what_is_fixed_against_the_version_that_serves_also_under_another_name() -> None:
    serving = Serving(
        "1.1.0", {"grype": [found(flaw("GHSA-1", A, aliases=["CVE-1"]), flaw("CVE-2", A), flaw("CVE-2", B))]}
    )
    judged = judge(
        {"grype": [found(flaw("CVE-1", A), flaw("CVE-2", B), flaw("CVE-3", B))]}, rules(), NOW, serving=serving
    )
    assert [it.flaw.name for it in judged.standing("new")] == ["CVE-3"]
    assert [it.flaw.name for it in judged.standing("same")] == ["CVE-1", "CVE-2"]
    assert [(it.name, it.component) for it in judged.fixed] == [("CVE-2", A)]


def test_a_finding_in_code_that_only_moved_is_not_new() -> None:
    serving = Serving("1.1.0", {"bandit": [found(code(line=4))]})
    judged = judge({"bandit": [found(code(line=40))]}, rules(), NOW, serving=serving)
    assert (len(judged.standing("same")), judged.fixed) == (1, [])


def test_nothing_is_new_or_fixed_that_its_scanner_did_not_look_for() -> None:
    was, now = {"grype": [found(flaw("CVE-1"))]}, {"trivy": [found(flaw("CVE-2"))]}
    judged = judge(now, rules(), NOW, serving=Serving("1.1.0", was))
    assert (judged.standing("new"), judged.fixed) == ([], [])
    assert len(judged.standing("not compared")) == 1
    broken = judge({"grype": [unknown()]}, rules(), NOW, serving=Serving("1.1.0", was))
    assert broken.fixed == []


SEVERITY = st.sampled_from(SEVERITIES)
FLAWS = st.builds(
    flaw,
    st.sampled_from(["CVE-1", "CVE-2", "GHSA-1"]),
    st.sampled_from([A, B, LIB_1]),
    SEVERITY,
    aliases=st.lists(st.sampled_from(["CVE-1", "GHSA-2"]), max_size=2),
    fixed_in=st.sampled_from([None, "2"]),
    platform=st.sampled_from([None, "linux/arm64"]),
)
RESULTS = st.dictionaries(
    st.sampled_from(["grype", "trivy", "osv"]), st.lists(st.lists(FLAWS, max_size=4).map(lambda it: found(*it)), min_size=1, max_size=2),
    min_size=1,
)  # fmt: skip
RULES = st.builds(
    lambda limit, fixable: rules(block_on=limit, only_fixable=fixable, exceptions=[]), SEVERITY, st.booleans()
)


@given(RESULTS, RULES, FLAWS)
def test_another_finding_never_turns_a_block_into_a_pass(
    results: dict[str, list[ScanResult]], asked: Any, more: Finding
) -> None:
    before = judge(results, asked, NOW)
    after = judge({**results, "another": [found(more)]}, asked, NOW)
    assert before.passes or not after.passes


@given(RESULTS, RULES)
def test_a_scanner_that_could_not_look_always_blocks(results: dict[str, list[ScanResult]], asked: Any) -> None:
    assert not judge({**results, "another": [unknown()]}, asked, NOW).passes


@given(RESULTS, RULES, st.randoms())
def test_the_order_of_scanners_and_findings_does_not_matter(
    results: dict[str, list[ScanResult]], asked: Any, random: Any
) -> None:
    names = list(results)
    random.shuffle(names)
    mixed = {}
    for name in names:
        mixed[name] = [
            it.model_copy(update={"findings": random.sample(it.findings, len(it.findings))}) for it in results[name]
        ]
        random.shuffle(mixed[name])
    assert judge(mixed, asked, NOW) == judge(results, asked, NOW)


@given(RESULTS, RULES)
def test_a_stricter_limit_never_lets_more_pass(results: dict[str, list[ScanResult]], asked: Any) -> None:
    blocked = [judge(results, asked.model_copy(update={"block_on": it}), NOW).passes for it in SEVERITIES]
    assert blocked == sorted(blocked)


@given(RESULTS, RULES, st.sampled_from(["CVE-1", "CVE-2", "GHSA-2"]), st.sampled_from([A, B, LIB_1]))
def test_an_exception_takes_from_what_blocks_only_what_it_names(
    results: dict[str, list[ScanResult]], asked: Any, name: str, component: str
) -> None:
    before = judge(results, asked, NOW)
    after = judge(results, asked.model_copy(update={"exceptions": [exemption(name, component)]}), NOW)
    gone = [it.flaw for it in before.blocking if it.flaw not in [other.flaw for other in after.blocking]]
    assert all(it.component == component for it in gone)
    assert [it.flaw for it in after.excepted] == gone


@given(RESULTS)
def test_a_version_has_nothing_new_and_nothing_fixed_against_itself(results: dict[str, list[ScanResult]]) -> None:
    judged = judge(results, rules(), NOW, serving=Serving("1.0.0", results))
    assert (judged.standing("new"), judged.fixed) == ([], [])
