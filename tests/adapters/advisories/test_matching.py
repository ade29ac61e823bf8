"""Components and advisories → findings, withdrawn ones, and what could not be looked at."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from release_pipelines.adapters.advisories.matching import Matched, Matcher
from release_pipelines.adapters.advisories.records import record_in
from release_pipelines.adapters.sbom.reading import components_in
from release_pipelines.core.model.component import Component

NOW = datetime(2026, 11, 20, tzinfo=timezone.utc).timestamp()
PERL = "pkg:deb/debian/perl-base@5.40.1-6?arch=arm64&distro=debian-13&upstream=perl"
LIBLDB2 = (
    "pkg:deb/debian/libldb2@2:2.6.2%2Bsamba4.17.12%2Bdfsg-0%2Bdeb12u1?distro=debian-12"
    "&upstream=samba%402:4.17.12%2Bdfsg-0%2Bdeb12u1"
)
OPENSSL = "pkg:deb/debian/openssl@3.0.15-1~deb12u1?distro=debian-12"


def component(purl: str) -> Component:
    """As it is read from an SBOM."""
    entry = {"type": "library", "name": purl.partition("?")[0].partition("@")[0].rpartition("/")[2], "purl": purl}
    document = {"bomFormat": "CycloneDX", "components": [entry]}
    return components_in(json.dumps(document))[0]


def record(ident: str, ecosystem: str, name: str, *events: tuple[str, str], **more: Any) -> dict[str, Any]:
    ranges = [{"type": "ECOSYSTEM", "events": [{key: version} for key, version in events]}]
    package = {"ecosystem": ecosystem, "name": name}
    return {
        "id": ident,
        "modified": "2026-11-01T00:00:00Z",
        "affected": [{"package": package, "ranges": ranges}],
        **more,
    }


def match(purls: list[str], *records: dict[str, Any], leave_out: tuple[str, ...] = ()) -> Matched:
    matcher = Matcher([component(it) for it in purls], leave_out)
    for it in records:
        matcher.take(record_in(json.dumps(it).encode()))
    return matcher.matched(NOW)


def rules(matched: Matched) -> list[str]:
    assert matched.not_looked == {}
    return [it.rule for it in matched.findings]


@pytest.mark.parametrize(
    ("purl", "name"),
    [
        ("pkg:pypi/zope.interface@5.0", "zope-interface"),
        ("pkg:pypi/zope-interface@5.0", "zope.interface"),
        ("pkg:pypi/Flask_Caching@1.0", "Flask-Caching"),
        ("pkg:pypi/flask-caching@1.0", "Flask_Caching"),
        ("pkg:pypi/django@1.0", "Django"),
        ("pkg:golang/github.com/masterminds/goutils@v1.0.0", "github.com/Masterminds/goutils"),
        ("pkg:npm/%40babel/traverse@1.0.0", "@babel/traverse"),
        ("pkg:maven/org.elasticsearch/elasticsearch@1.0", "org.elasticsearch:elasticsearch"),
        ("pkg:nuget/Newtonsoft.Json@1.0", "newtonsoft.json"),
        ("pkg:composer/Symfony/Http-Kernel@1.0", "symfony/http-kernel"),
        ("pkg:cargo/serde_yaml@0.1.0", "serde-yaml"),
    ],
)
def test_a_name_is_found_however_either_side_spells_it(purl: str, name: str) -> None:
    from release_pipelines.adapters.advisories.packages import LANGUAGES

    ecosystem = LANGUAGES[purl.partition(":")[2].partition("/")[0]]
    assert rules(match([purl], record("A-1", ecosystem, name, ("introduced", "0")))) == ["A-1"]


def test_a_binary_package_is_looked_up_by_its_source() -> None:
    [found] = match(
        [PERL], record("A-1", "Debian:13", "perl", ("introduced", "0"), ("fixed", "5.40.1-6+deb13u1"))
    ).findings
    assert (found.source, found.fixed_in, found.component) == ("perl", "5.40.1-6+deb13u1", PERL)
    assert (
        found.text == "perl-base 5.40.1-6, of the source package perl 5.40.1-6: no summary (fixed in 5.40.1-6+deb13u1)"
    )


def test_the_version_of_the_source_package_counts_with_its_epoch() -> None:
    assert (
        rules(match([LIBLDB2], record("A-1", "Debian:12", "samba", ("introduced", "0"), ("fixed", "2:4.3.7+dfsg-1"))))
        == []
    )
    assert rules(match([LIBLDB2], record("A-1", "Debian:12", "samba", ("introduced", "0"), ("fixed", "2:4.18.0")))) == [
        "A-1"
    ]


def test_an_epoch_beside_the_version_counts() -> None:
    shadow = record("A-1", "Debian:12", "shadow", ("introduced", "0"), ("fixed", "1:4.12"))
    assert rules(match(["pkg:deb/debian/shadow@4.13?distro=debian-12&epoch=1"], shadow)) == []
    assert rules(match(["pkg:deb/debian/shadow@4.13?distro=debian-12"], shadow)) == ["A-1"]
    openssl = record("A-1", "AlmaLinux:9", "openssl-libs", ("introduced", "0"), ("fixed", "1:3.0.7-25.el9_3"))
    purl = "pkg:rpm/almalinux/openssl-libs@3.0.7-{}?distro=almalinux-9.3&epoch=1&upstream=openssl-3.0.7-{}.src.rpm"
    assert rules(match([purl.format("25.el9_3", "25.el9_3")], openssl)) == []
    assert rules(match([purl.format("24.el9", "24.el9")], openssl)) == ["A-1"]


def test_only_advisories_of_the_own_release_count() -> None:
    own = record("A-1", "Debian:12", "openssl", ("introduced", "0"), ("fixed", "3.0.15-1~deb12u1"))
    other = record("A-2", "Debian:13", "openssl", ("introduced", "0"), ("fixed", "3.0.15-1"))
    assert rules(match([OPENSSL], own, other)) == []
    of_any = record("A-3", "Debian", "openssl", ("introduced", "0"))
    assert rules(match([OPENSSL], own, of_any)) == ["A-3"]


@pytest.mark.parametrize(
    ("purl", "ecosystem"),
    [
        ("pkg:deb/debian/perl@1.0?distro=trixie", "Debian:13"),
        ("pkg:deb/debian/perl@1.0?distro=debian-13.2", "Debian:13"),
        ("pkg:deb/ubuntu/perl@1.0?distro=ubuntu-22.04", "Ubuntu:22.04:LTS"),
        ("pkg:deb/ubuntu/perl@1.0?distro=ubuntu-24.10", "Ubuntu:24.10"),
        ("pkg:apk/alpine/perl@1.0-r0?distro=alpine-3.20.3", "Alpine:v3.20"),
        ("pkg:apk/alpine/perl@1.0-r0?distro=3.20.3", "Alpine:v3.20"),
        ("pkg:apk/alpine/perl-utils@1.0-r0?distro=alpine-3.20.3&upstream=perl", "Alpine:v3.20"),
        ("pkg:apk/wolfi/perl@1.0-r0?distro=wolfi-20230201", "Wolfi"),
        ("pkg:rpm/almalinux/perl@1.0-1.el9?distro=almalinux-9.3", "AlmaLinux:9"),
        ("pkg:rpm/rocky/perl-libs@1.0-1.el9?distro=rocky-9.3&upstream=perl-1.0-1.el9.src.rpm", "Rocky Linux:9"),
    ],
)
def test_releases_are_known_in_all_their_spellings(purl: str, ecosystem: str) -> None:
    assert rules(match([purl], record("A-1", ecosystem, "perl", ("introduced", "0")))) == ["A-1"]


def test_a_release_for_paying_customers_is_another() -> None:
    free = record("A-1", "Ubuntu:22.04:LTS", "perl", ("introduced", "0"), ("fixed", "0.9"))
    paid = record("A-2", "Ubuntu:Pro:22.04:LTS", "perl", ("introduced", "0"), ("fixed", "1.1+esm1"))
    assert rules(match(["pkg:deb/ubuntu/perl@1.0?distro=ubuntu-22.04"], free, paid)) == []


@pytest.mark.parametrize(
    ("purl", "why"),
    [
        ("pkg:deb/debian/perl@1.0", "packages of Debian whose release is not known (no distro)"),
        ("pkg:deb/debian/perl@1.0?distro=sid", "packages of Debian whose release is not known (sid)"),
        ("pkg:deb/debian/perl@1.0?distro=ubuntu-22.04", "packages of Debian whose release is not known (ubuntu-22.04)"),
        (
            "pkg:rpm/fedora/perl@1.0?distro=fedora-41",
            "packages of type rpm/fedora, whose versions cannot be compared here",
        ),
        ("pkg:generic/busybox@1.36", "packages of type generic, whose versions cannot be compared here"),
        ("pkg:npm/lodash@4.17.0", "no advisory of npm is in the data for"),
        ("pkg:deb/debian/perl@1.0?distro=debian-12", "no advisory of Debian:12 is in the data for"),
        ("pkg:pypi/shop", "A-1 cannot be compared (its version is not known) with"),
        ("pkg:pypi/shop@what", "A-1 cannot be compared (what is no version of PyPI) with"),
    ],
)
def test_what_cannot_be_compared_is_named_and_never_clean(purl: str, why: str) -> None:
    records = [
        record("A-1", "PyPI", "shop", ("introduced", "0"), ("fixed", "1.0")),
        record("A-2", "Debian:13", "perl", ("introduced", "0"), ("fixed", "1.0")),
    ]
    said = match([purl], *records)
    assert said.findings == []
    assert list(said.not_looked) == [why]
    assert len(said.not_looked[why]) == 1


def test_a_version_that_is_none_matters_only_where_an_advisory_speaks_of_the_package() -> None:
    said = match(["pkg:pypi/other@what"], record("A-1", "PyPI", "shop", ("introduced", "0")))
    assert (said.findings, said.not_looked) == ([], {})


def test_a_record_that_does_not_keep_to_the_schema_is_named() -> None:
    wrong = record("A-1", "PyPI", "shop")
    wrong["affected"][0]["ranges"] = ["everything"]
    assert list(match(["pkg:pypi/shop@1.0"], wrong).not_looked) == [
        "A-1 cannot be compared (it does not keep to the OSV schema) with"
    ]


def test_what_is_left_out_is_told() -> None:
    said = match(["pkg:generic/busybox@1.36"], leave_out=("generic",))
    assert (said.not_looked, said.left_out) == ({}, ["busybox 1.36"])


def test_a_withdrawn_record_is_listed_and_is_no_finding() -> None:
    gone = record("GHSA-jw44-4f3j-q396", "PyPI", "shop", ("introduced", "0"), withdrawn="2025-06-19T14:29:04Z")
    stays = record("GO-1", "PyPI", "shop", ("introduced", "0"), aliases=["GHSA-jw44-4f3j-q396"])
    said = match(["pkg:pypi/shop@1.0"], gone, stays)
    assert [it.rule for it in said.findings] == ["GO-1"]
    assert said.withdrawn == ["GHSA-jw44-4f3j-q396"]
    assert match(["pkg:pypi/other@1.0"], gone).withdrawn == []


def test_one_that_will_be_withdrawn_still_counts() -> None:
    later = record("A-1", "PyPI", "shop", ("introduced", "0"), withdrawn="2027-01-01T00:00:00Z")
    assert rules(match(["pkg:pypi/shop@1.0"], later)) == ["A-1"]


def test_other_names_of_a_flaw_go_with_it() -> None:
    grafana = "pkg:golang/github.com/grafana/grafana@12.0.0"
    ghsa = record(
        "GHSA-w62r-7c53-fmc5", "Go", "github.com/grafana/grafana", ("introduced", "0"), ("fixed", "12.0.7"),
        aliases=["CVE-2025-41115"],
    )  # fmt: skip
    go = record(
        "GO-2025-4153", "Go", "github.com/grafana/grafana", ("introduced", "0"),
        aliases=["CVE-2025-41115", "GHSA-w62r-7c53-fmc5"],
    )  # fmt: skip
    one, other = match([grafana], ghsa, go).findings
    assert (one.aliases, one.fixed_in) == (["CVE-2025-41115"], "12.0.7")
    assert (other.aliases, other.fixed_in) == (["CVE-2025-41115", "GHSA-w62r-7c53-fmc5"], None)
    debian = record("DEBIAN-CVE-2026-8376", "Debian:13", "perl", ("introduced", "0"), upstream=["CVE-2026-8376"])
    [found] = match([PERL], debian).findings
    assert (found.aliases, found.upstream) == ([], ["CVE-2026-8376"])


def test_of_two_records_with_one_id_the_newer_counts() -> None:
    old = record("A-1", "PyPI", "shop", ("introduced", "0"))
    new = {**record("A-1", "PyPI", "other", ("introduced", "0")), "modified": "2026-11-02T00:00:00Z"}
    for order in ((old, new), (new, old)):
        assert rules(match(["pkg:pypi/shop@1.0"], *order)) == []


def test_what_no_version_is_named_for_says_what_is_known() -> None:
    [found] = match(
        ["pkg:pypi/joblib@1.4.2"],
        record("A-1", "PyPI", "joblib", ("introduced", "0"), ("last_affected", "1.4.2"), summary="Runs code."),
    ).findings
    assert found.fixed_in is None
    assert found.text.endswith("Runs code (fix: none named, newer than 1.4.2 is not affected)")


@pytest.mark.parametrize(
    ("severity", "more", "rating"),
    [
        (
            [
                ("CVSS_V4", "CVSS:4.0/AV:L/AC:H/AT:N/PR:N/UI:P/VC:H/VI:L/VA:H/SC:H/SI:H/SA:H"),
                ("CVSS_V3", "CVSS:3.1/AV:L/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H"),
                ("Ubuntu", "medium"),
            ],
            {},
            "high",
        ),
        ([("CVSS_V4", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:N/SA:N")], {}, "critical"),
        ([], {}, "unknown"),
        ([("CVSS_V3", "CVSS:3.1/what")], {}, "unknown"),
        ([], {"database_specific": {"severity": "MODERATE"}}, "medium"),
    ],
)
def test_the_severity_is_the_highest_that_is_said(severity: Any, more: Any, rating: str) -> None:
    said = [{"type": kind, "score": score} for kind, score in severity]
    [found] = match(
        ["pkg:pypi/shop@1.0"], record("A-1", "PyPI", "shop", ("introduced", "0"), severity=said, **more)
    ).findings
    assert found.severity == rating
    assert [it.source for it in found.scores][: len(said)] == [kind for kind, _ in severity]
