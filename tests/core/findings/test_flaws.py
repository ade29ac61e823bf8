"""One flaw of several records is one finding."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.core.findings.feeds import KnownExploited, Scores
from release_pipelines.core.findings.flaws import Names, flaws_in
from release_pipelines.core.findings.judgement import judge
from release_pipelines.core.model.finding import Finding
from tests.core.findings.findings import GRAFANA, NOW, A, B, code, exemption, flaw, found, rules

GHSA = flaw("GHSA-w62r-7c53-fmc5", GRAFANA, "critical", aliases=["CVE-2025-41115"], fixed_in="12.0.7")
GO = flaw("GO-2025-4153", GRAFANA, "unknown", aliases=["CVE-2025-41115", "GHSA-w62r-7c53-fmc5"])
DEBIAN = flaw("DEBIAN-CVE-2026-8376", "pkg:deb/debian/perl-base@5.40.1-6", "low", upstream=["CVE-2026-8376"])
KEV = rules(known_exploited="kev.json")


def test_two_records_of_one_flaw_are_one_finding_with_all_names_the_fix_and_the_highest_severity() -> None:
    for order in permutations([("grype", GHSA), ("osv", GO)]):
        (one,) = flaws_in({scanner: [record] for scanner, record in order})
        assert one.names == ["CVE-2025-41115", "GHSA-w62r-7c53-fmc5", "GO-2025-4153"]
        assert (one.severity, one.fixed_in, one.scanners) == ("critical", "12.0.7", ["grype", "osv"])


def test_two_scanners_that_share_only_a_name_of_a_third_record_speak_of_one_flaw() -> None:
    linked = [flaw("GHSA-a", aliases=["CVE-2026-1"]), flaw("PYSEC-1", aliases=["CVE-2026-1"])]
    assert len(flaws_in({"one": linked[:1], "other": [flaw("PYSEC-1"), *linked[1:]]})) == 1


def test_names_are_compared_without_regard_to_case() -> None:
    assert len(flaws_in({"one": [flaw("cve-2026-1")], "other": [flaw("CVE-2026-1")]})) == 1


def test_the_same_flaw_in_two_components_or_two_versions_is_two() -> None:
    assert len(flaws_in({"it": [flaw("CVE-1", A), flaw("CVE-1", B), flaw("CVE-1", "pkg:npm/package-a@1.0.1")]})) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pkg:golang/github.com/grafana/grafana@v12.0.0", GRAFANA),
        ("pkg:pypi/zope.interface@5.0", "pkg:pypi/Zope-Interface@5.0"),
        ("pkg:rpm/fedora/curl@7.50.3-1.fc25?epoch=2&arch=i386", "pkg:rpm/fedora/curl@2:7.50.3-1.fc25"),
        ("pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie", "pkg:deb/debian/curl@7.50.3-1?distro=debian-8"),
        ("pkg:npm/%40scope/a@1.0.0", "pkg:npm/@scope/a@1.0.0"),
    ],
)
def test_a_component_is_one_however_scanners_spell_it(one: str, other: str) -> None:
    assert len(flaws_in({"trivy": [flaw("CVE-1", one)], "grype": [flaw("CVE-1", other)]})) == 1


def test_one_flaw_on_two_platforms_is_one_that_names_both() -> None:
    both = [flaw("CVE-1", platform=it) for it in ("linux/arm64", "linux/amd64")]
    (one,) = flaws_in({"trivy": both})
    assert one.place == "package-a 1.0.0 on linux/amd64 and linux/arm64"


def test_of_several_fixes_the_one_that_every_record_agrees_with_is_told_by_the_order_of_the_ecosystem() -> None:
    records = [flaw("CVE-1", GRAFANA, fixed_in=fix) for fix in ("12.0.7", "12.0.10", "12.0.9")]
    assert flaws_in({"it": records})[0].fixed_in == "12.0.10"


def test_findings_on_two_lines_of_a_file_are_two() -> None:
    assert len(flaws_in({"bandit": [code(line=4), code(line=9)]})) == 2


def test_upstream_goes_one_way_only() -> None:
    two = Names([flaw("DSA-1", upstream=["CVE-1", "CVE-2"]), flaw("CVE-1", aliases=["GHSA-1"])])
    assert two.above("DSA-1") == {"DSA-1", "CVE-1", "CVE-2", "GHSA-1"}
    assert two.above("CVE-1") == {"CVE-1", "GHSA-1"}
    assert two.covered("DSA-1", {"CVE-1", "CVE-2"})
    assert not two.covered("DSA-1", {"CVE-1"})
    assert not two.covered("CVE-1", {"DSA-1"})


def test_records_that_are_derived_from_each_other_end() -> None:
    names = Names([flaw("A", upstream=["B"]), flaw("B", upstream=["A"])])
    assert names.above("A") == {"A", "B"}
    assert not names.covered("A", {"C"})


@pytest.mark.parametrize("name", ["CVE-2025-41115", "GHSA-w62r-7c53-fmc5", "GO-2025-4153", "ghsa-W62R-7c53-fmc5"])
def test_an_exception_under_any_name_covers_all_records_of_the_flaw(name: str) -> None:
    excepted = rules(exceptions=[exemption(name, GRAFANA)])
    judged = judge({"grype": [found(GHSA)], "osv": [found(GO)]}, excepted, NOW)
    assert (judged.passes, len(judged.excepted)) == (True, 1)


@pytest.mark.parametrize("record", [GHSA, GO])
def test_what_is_known_to_be_exploited_is_looked_up_by_aliases(record: Finding) -> None:
    known = KnownExploited({"CVE-2025-41115": "2025-11-25"}, NOW)
    judged = judge(
        {"osv": [found(record)]}, KEV.model_copy(update={"unknown_severity": "ignore"}), NOW, known_exploited=known
    )
    assert "known to be exploited (CVE-2025-41115, since 2025-11-25)" in judged.blocking[0].words


def test_what_is_known_to_be_exploited_is_looked_up_by_the_flaws_that_a_distributions_record_is_derived_from() -> None:
    known = KnownExploited({"CVE-2026-8376": ""}, NOW)
    assert not judge({"osv": [found(DEBIAN)]}, KEV, NOW, known_exploited=known).passes
    assert judge({"osv": [found(DEBIAN)]}, KEV, NOW, known_exploited=KnownExploited({"CVE-1": ""}, NOW)).passes
    likely = rules(epss={"at_least": "10%", "data": "epss.csv"})
    assert not judge({"osv": [found(DEBIAN)]}, likely, NOW, scores=Scores({"CVE-2026-8376": 0.1}, NOW)).passes
    assert judge({"osv": [found(DEBIAN)]}, likely, NOW, scores=Scores({"CVE-2026-8376": 0.09}, NOW)).passes


def test_an_exception_for_a_flaw_covers_what_is_derived_from_it_and_not_the_other_way_round() -> None:
    perl = DEBIAN.component or ""
    worse = DEBIAN.model_copy(update={"severity": "critical"})
    assert judge({"osv": [found(worse)]}, rules(exceptions=[exemption("CVE-2026-8376", perl)]), NOW).passes
    own = flaw("CVE-2026-8376", perl)
    derived = rules(exceptions=[exemption(DEBIAN.rule, perl)])
    blocking = judge({"osv": [found(worse, own)]}, derived, NOW).blocking
    assert [it.flaw.name for it in blocking] == ["CVE-2026-8376"]


LETTERS = st.sampled_from("ABCDEFGH")
RECORDS = st.lists(
    st.builds(flaw, LETTERS, aliases=st.lists(LETTERS, max_size=2), upstream=st.lists(LETTERS, max_size=2)), max_size=8
)


@given(RECORDS)
def test_to_be_the_same_flaw_is_an_equivalence(records: list[Finding]) -> None:
    names = Names(records)
    groups = [names.same(it) for it in "ABCDEFGH"]
    for letter, group in zip("ABCDEFGH", groups, strict=True):
        assert letter in group
        assert all(names.same(other) == group for other in group)
    for record in records:
        assert {record.rule, *record.aliases} <= names.same(record.rule)


@given(RECORDS, st.randoms())
def test_flaws_do_not_depend_on_the_order_of_records(records: list[Finding], random: object) -> None:
    mixed = list(records)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    one, other = flaws_in({"it": records}), flaws_in({"it": mixed})
    assert one == other
