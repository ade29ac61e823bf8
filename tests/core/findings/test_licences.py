"""Licence expressions: what is allowed, forbidden, or nobody knows, and by which part."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from release_pipelines.core.findings.judgement import judge
from release_pipelines.core.findings.licences import key_of, ruling
from release_pipelines.core.findings.rules import Licences
from release_pipelines.core.model.finding import Finding
from tests.core.findings.findings import NOW, A, exemption, found, rules

ALLOWED = ["MIT", "Apache-2.0", "BSD-3-Clause", "MPL-2.0", "Apache-2.0 WITH LLVM-exception"]
ALLOW = frozenset(Licences.model_validate({"allow": ALLOWED}).allow)
NONE: frozenset[str] = frozenset()


def licence(expression: str, component: str = A) -> Finding:
    return Finding(kind="licence", severity="low", rule=expression, component=component, text="Its licence.")


@pytest.mark.parametrize(
    "expression",
    [
        "MIT OR GPL-3.0-or-later",
        "Apache-2.0 AND MIT",
        "mit or apache-2.0",
        "MPL-2.0 AND (Apache-2.0 OR MIT)",
        "Apache-2.0 WITH LLVM-exception",
        "MIT OR NOASSERTION",
    ],
)
def test_what_is_allowed_passes(expression: str) -> None:
    assert ruling(expression, ALLOW, NONE).verdict == "allowed"
    assert judge({"sbom": [found(licence(expression))]}, rules(licences={"allow": ALLOWED}), NOW).passes


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("(MIT OR GPL-3.0-only) AND AGPL-3.0-only", "AGPL-3.0-only"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("GPL-3.0-only AND NOASSERTION", "GPL-3.0-only"),
        ("BSD-3-Clause WITH LLVM-exception", "BSD-3-Clause WITH LLVM-exception"),
    ],
)
def test_what_is_forbidden_blocks_and_the_sentence_names_the_part_that_decided(expression: str, part: str) -> None:
    assert ruling(expression, ALLOW, NONE) == ("forbidden", part)
    judged = judge({"sbom": [found(licence(expression))]}, rules(licences={"allow": ALLOWED}), NOW)
    assert f"its licence is forbidden, because of {part}" in judged.sentence("sbom")


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("NOASSERTION", "NOASSERTION"),
        ("NONE", "NONE"),
        ("MIT AND NOASSERTION", "NOASSERTION"),
        ("LicenseRef-Proprietary", "LicenseRef-Proprietary"),
        ("BSD", "BSD"),
        ("GPL", "GPL"),
        ("Apache 2.0", "Apache 2.0"),
        ("MIT/Apache-2.0", "MIT/Apache-2.0"),
        ("MIT AND", "MIT AND"),
        ("MIT WITH GPL-2.0-only", "MIT WITH GPL-2.0-only"),
        ("LLVM-exception", "LLVM-exception"),
        ("LicenseRef-Apache", "LicenseRef-Apache"),  # the library takes it for Apache-2.0
        ("", "no licence"),
        (None, "no licence"),
    ],
)
def test_what_nobody_knows_is_unknown_and_never_allowed(expression: str | None, part: str) -> None:
    assert ruling(expression, ALLOW, NONE) == ("unknown", part)
    assert not judge({"sbom": [found(licence(expression or ""))]}, rules(licences={"allow": ALLOWED}), NOW).passes


def test_a_licence_that_is_not_told_has_a_name_for_exceptions() -> None:
    allowed = rules(licences={"allow": ALLOWED}, exceptions=[exemption("NOASSERTION")])
    assert judge({"sbom": [found(licence(""))]}, allowed, NOW).passes


def test_what_is_denied_is_so_with_an_exception_too_unless_that_key_is_allowed() -> None:
    deny = frozenset({"GPL-2.0-only"})
    assert ruling("GPL-2.0-only WITH Classpath-exception-2.0", NONE, deny).verdict == "forbidden"
    assert ruling("MIT OR GPL-2.0-only", NONE, deny).verdict == "allowed"
    assert ruling("MIT AND GPL-2.0-only", NONE, deny).verdict == "forbidden"
    assert ruling("NOASSERTION", NONE, deny).verdict == "unknown"
    classpath = key_of("GPL-2.0-only WITH Classpath-exception-2.0")
    assert ruling("GPL-2.0-only WITH Classpath-exception-2.0", frozenset({classpath or ""}), deny).verdict == "allowed"


def test_a_name_of_ones_own_counts_where_the_app_lists_it() -> None:
    assert ruling("LicenseRef-Acme AND MIT", ALLOW | {"LicenseRef-Acme"}, NONE).verdict == "allowed"
    assert ruling("LicenseRef-Acme", NONE, frozenset({"LicenseRef-Acme"})).verdict == "forbidden"


@pytest.mark.parametrize("name", ["GPL", "MIT OR Apache-2.0", "", "MIT/X11"])
def test_a_list_takes_nothing_but_licences(name: str) -> None:
    with pytest.raises(ValidationError, match="SPDX ids"):
        Licences.model_validate({"deny": [name]})


def test_a_list_of_licences_without_a_scanner_that_tells_them_is_unknown() -> None:
    judged = judge({"bandit": [found()]}, rules(licences={"allow": ["MIT"]}), NOW)
    assert judged.unknown == ["unknown: no scanner tells the licences of the components."]
