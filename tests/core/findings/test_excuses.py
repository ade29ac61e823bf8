"""Exceptions and VEX let pass what they name, and nothing else."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from release_pipelines.core.findings.judgement import Judgement, judge
from release_pipelines.core.findings.rules import Exemption
from release_pipelines.core.findings.vex import Product, statements_in
from release_pipelines.core.model.finding import Finding
from tests.core.findings.findings import NOW, A, B, code, exemption, flaw, found, rules

DIGEST = "sha256:" + "a" * 64
ARM = "sha256:" + "c" * 64
SHOP = Product("registry.example.org/team/shop", DIGEST, "1.1.0", {ARM: "linux/arm64"})
BOTH = [flaw("CVE-2026-1", A), flaw("CVE-2026-1", B)]


def cyclonedx(state: str, *affects: dict[str, Any], **more: Any) -> str:
    flaw = {"id": "CVE-2026-1", "analysis": {"state": state}, "affects": list(affects)}
    return json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "vulnerabilities": [flaw], **more})


def openvex(*statements: dict[str, Any], **more: Any) -> str:
    told = [{"vulnerability": {"name": "CVE-2026-1"}, "status": "not_affected", **it} for it in statements]
    return json.dumps({"@context": "https://openvex.dev/ns/v0.2.0", "statements": told, **more})


def product(name: str, *parts: str) -> dict[str, Any]:
    return {"products": [{"@id": name, "subcomponents": [{"@id": it} for it in parts]}]}


def judged(*documents: str, findings: list[Finding] = BOTH, **keys: Any) -> Judgement:
    statements = [it for text in documents for it in statements_in(text, "shop.vex.json")]
    return judge({"trivy": [found(*findings)]}, rules(**keys), NOW, statements=statements, product=SHOP)


def blocked(*documents: str, **more: Any) -> list[str]:
    return [it.flaw.component or it.flaw.first.file for it in judged(*documents, **more).blocking]


def test_a_statement_of_cyclonedx_excepts_the_component_that_it_names() -> None:
    document = cyclonedx("not_affected", {"ref": A})
    assert blocked(document) == [B]
    (excuse,) = judged(document).excepted[0].excuses
    assert excuse == ("shop.vex.json, vulnerability 1", "not affected")


@pytest.mark.parametrize("state", ["in_triage", "exploitable"])
def test_other_states_of_cyclonedx_except_nothing(state: str) -> None:
    assert blocked(cyclonedx(state, {"ref": A})) == [A, B]


@pytest.mark.parametrize(
    "affects", [[], [{"ref": "pkg:npm/package-a@1.0"}], [{"ref": "pkg:npm/package"}], [{"ref": "a"}]]
)
def test_a_statement_of_cyclonedx_about_something_else_excepts_nothing(affects: list[dict[str, Any]]) -> None:
    assert blocked(cyclonedx("not_affected", *affects)) == [A, B]


def test_a_reference_inside_of_a_cyclonedx_document_is_followed() -> None:
    components = [{"bom-ref": "x", "components": [{"bom-ref": "a", "purl": A}]}]
    assert blocked(cyclonedx("false_positive", {"ref": "urn:cdx:1/1#a"}, components=components)) == [B]
    assert blocked(cyclonedx("false_positive", {"ref": "a"}, components=components)) == [B]


def test_versions_of_cyclonedx_bind() -> None:
    other = {"version": "1.0.1", "status": "unaffected"}
    own = {"version": "1.0.0", "status": "unaffected"}
    affected = {"version": "1.0.0", "status": "affected"}
    for versions, expected in (
        ([other], [A, B]),
        ([other, own], [B]),
        ([affected], [A, B]),
        ([{"range": "vers:npm/*"}], [A, B]),
    ):
        assert blocked(cyclonedx("not_affected", {"ref": "pkg:npm/package-a", "versions": versions})) == expected


def test_a_statement_of_openvex_about_another_product_excepts_nothing() -> None:
    assert blocked(openvex(product("pkg:oci/other", "pkg:npm/package-a"))) == [A, B]


@pytest.mark.parametrize(
    "name",
    [
        "pkg:oci/shop",
        f"pkg:oci/shop@{DIGEST.replace(':', '%3A')}",
        "pkg:oci/shop?repository_url=registry.example.org/team/shop",
        "pkg:oci/shop?repository_url=registry.example.org/team&tag=1.1.0",
        "pkg:docker/team/shop@1.1.0",
    ],
)
def test_a_statement_of_openvex_about_this_image_excepts_the_subcomponent_that_it_names(name: str) -> None:
    assert blocked(openvex(product(name, "pkg:npm/package-a"))) == [B]


@pytest.mark.parametrize(
    "name",
    [
        "pkg:oci/shop@sha256%3A" + "b" * 64,
        "pkg:oci/shop?repository_url=registry.example.org/other/shop",
        "pkg:oci/shop?tag=1.0.0",
        "pkg:oci/shop?arch=arm64",
        "pkg:oci/shop-admin",
        "pkg:docker/other/shop",
        "https://example.org/shop",
    ],
)
def test_a_statement_of_openvex_about_another_image_excepts_nothing(name: str) -> None:
    assert blocked(openvex(product(name, "pkg:npm/package-a"))) == [A, B]


@pytest.mark.parametrize("name", ["pkg:oci/shop?arch=arm64", f"pkg:oci/shop@{ARM.replace(':', '%3A')}"])
def test_a_statement_about_one_architecture_holds_there(name: str) -> None:
    of_arm = openvex(product(name, "pkg:npm/package-a"))
    on = {it: [flaw("CVE-2026-1", A, platform=f"linux/{it}")] for it in ("arm64", "amd64")}
    assert blocked(of_arm, findings=on["arm64"]) == []
    assert blocked(of_arm, findings=on["amd64"]) == [A]
    assert blocked(of_arm, findings=on["amd64"] + on["arm64"]) == [A]


def test_a_component_may_be_the_product_of_openvex() -> None:
    assert blocked(openvex({"products": [{"identifiers": {"purl": A}}]})) == [B]
    assert blocked(openvex({"products": [A]}, vulnerability=None)) == [B]


def test_subcomponents_that_are_no_package_urls_do_not_make_a_statement_about_everything() -> None:
    assert blocked(openvex(product("pkg:oci/shop", "package-a"))) == [A, B]


@pytest.mark.parametrize("status", ["affected", "under_investigation"])
def test_other_statuses_of_openvex_except_nothing(status: str) -> None:
    assert blocked(openvex({"status": status, **product("pkg:oci/shop", A)})) == [A, B]


def test_the_last_statement_counts_and_of_two_at_one_time_the_stricter() -> None:
    earlier, later = {"timestamp": "2026-01-01T00:00:00Z"}, {"timestamp": "2026-01-01T01:00:00.123456789+00:30"}
    no, yes = {"status": "affected", "products": [A]}, {"products": [A]}
    assert blocked(openvex({**no, **earlier}, {**yes, **later})) == [B]
    assert blocked(openvex({**no, **later}, {**yes, **earlier})) == [A, B]
    assert blocked(openvex({**yes, **later}), openvex({**no, **later})) == [A, B]


def test_any_name_that_a_statement_gives_covers_the_flaw() -> None:
    named = {"vulnerability": {"name": "GHSA-1", "aliases": ["CVE-2026-1"]}, "products": [A]}
    assert blocked(openvex(named)) == [B]


def test_a_finding_without_a_package_url_is_never_excepted_by_vex() -> None:
    bare = [Finding(kind="vulnerability", rule="CVE-2026-1", severity="high", text="Bad.", file="lib/a.jar")]
    assert blocked(openvex(product("pkg:oci/shop")), findings=bare) == ["lib/a.jar"]
    assert blocked(openvex(product("pkg:oci/shop"))) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<xml/>", "not JSON"),
        ('{"bomFormat": "SPDX"}', "another document"),
        ('{"@context": "https://openvex.dev/ns"}', "cannot be read"),
        (openvex({"status": "fine"}), "`fine`, expected one of not_affected"),
        (cyclonedx("maybe"), "`maybe`, expected one of not_affected"),
        ('{"bomFormat": "CycloneDX", "vulnerabilities": [1]}', "cannot be read"),
    ],
)
def test_what_is_no_vex_document_is_one_sentence_that_names_the_file(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^shop\.vex\.json") as error:
        statements_in(text, "shop.vex.json")
    assert said in str(error.value)


def test_an_exception_is_for_the_component_that_it_names_and_the_approval_sees_its_place() -> None:
    result = judged(exceptions=[exemption("CVE-2026-9", B), exemption()])
    assert [it.flaw.component for it in result.blocking] == [B]
    assert result.excepted[0].excuses == [("scan.exceptions[1]", "not reached (ada, until 2026-12-31)")]


@pytest.mark.parametrize(
    ("component", "expected"),
    [
        ("pkg:npm/package-a", []),
        ("pkg:npm/package-a@1.0.1", []),
        ("pkg:npm/package-a@1.0.0", [1]),
        ("pkg:npm/package-a@1.0", [1]),
    ],
)
def test_a_version_in_an_exception_binds(component: str, expected: list[int]) -> None:
    later = [flaw("CVE-2026-1", "pkg:npm/package-a@1.0.1")]
    assert len(blocked(findings=later, exceptions=[exemption(component=component)])) == len(expected)


@pytest.mark.parametrize(
    ("written", "component"),
    [
        ("pkg:pypi/Zope.Interface@5.0", "pkg:pypi/zope-interface@5.0"),
        ("pkg:npm/%40scope/a", "pkg:npm/@scope/a@1.0.0"),
        ("pkg:deb/debian/perl-base?distro=debian-13", "pkg:deb/debian/perl-base@5.40.1-6?arch=arm64&distro=debian-13"),
    ],
)
def test_package_urls_are_compared_by_their_parts(written: str, component: str) -> None:
    assert blocked(findings=[flaw("CVE-2026-1", component)], exceptions=[exemption(component=written)]) == []


@pytest.mark.parametrize("component", ["pkg:npm/package", "pkg:pypi/package-a", "pkg:npm/scope/package-a", "package-a"])
def test_what_only_begins_alike_is_another_component(component: str) -> None:
    assert blocked(findings=BOTH[:1], exceptions=[exemption(component=component)]) == [A]


def test_an_exception_holds_to_the_end_of_its_last_day_and_then_blocks_with_its_name() -> None:
    last = exemption(until=date(2026, 11, 27))
    end = datetime(2026, 11, 27, 23, 59, tzinfo=timezone.utc).timestamp()
    assert judge({"trivy": [found(BOTH[0])]}, rules(exceptions=[last]), end).passes
    expired = judge({"trivy": [found(BOTH[0])]}, rules(exceptions=[last]), end + 60)
    assert "the exception in scan.exceptions[0] has run out: not reached (ada, until 2026-11-27)" in expired.sentence(
        "trivy"
    )


def test_an_exception_for_a_file_is_for_one_rule_in_that_file() -> None:
    here = [code(), code("B602", "app/other.py"), code("B307")]
    (left, other) = judged(findings=here, exceptions=[exemption("B602", "./app/run.py")]).blocking
    assert {(it.flaw.name, it.flaw.first.file) for it in (left, other)} == {
        ("B602", "app/other.py"),
        ("B307", "app/run.py"),
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"component": None},
        {"component": "pkg:npm"},
        {"component": " "},
        {"reason": ""},
        {"who": "\t"},
        {"until": "soon"},
        {"until": 20270331},
        {"until": datetime(2026, 12, 31, 10)},
        {"id": ""},
    ],
)
def test_an_exception_says_all_of_it(wrong: dict[str, Any]) -> None:
    told = {"id": "CVE-1", "component": A, "reason": "r", "until": "2026-12-31", "who": "ada", **wrong}
    with pytest.raises(ValidationError):
        Exemption.model_validate({key: it for key, it in told.items() if it is not None})
