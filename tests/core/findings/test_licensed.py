"""Licences of components, from whichever tool lists them, judged by an app's rules."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.core.findings.judgement import judge
from release_pipelines.core.findings.licensed import licence_findings, pip_licenses_in
from release_pipelines.core.model.component import Component
from release_pipelines.core.model.finding import ScanResult
from tests.core.findings.findings import NOW, rules


def component(*licences: str, name: str = "leftpad") -> Component:
    return Component(name=name, version="1.0.0", purl=f"pkg:npm/{name}@1.0.0", licences=list(licences))


def passes(*components: Component, **keys: Any) -> bool:
    result = ScanResult(status="findings", sentence="Listed.", findings=licence_findings(components))
    return judge({"licences": [result]}, rules(licences=keys), NOW).passes


@pytest.mark.parametrize(
    ("licences", "allowed"),
    [
        (["MIT"], True),
        (["MIT", "Apache-2.0"], True),
        (["MIT", "GPL-3.0-only"], False),
        (["MIT OR GPL-3.0-only", "MIT"], True),
        ([], False),
        (["NOASSERTION"], False),
        (["BSD"], False),
    ],
)
def test_all_licences_of_a_component_hold_together_and_none_is_unknown(licences: list[str], allowed: bool) -> None:
    assert passes(component(*licences), allow=["MIT", "Apache-2.0"]) is allowed


def test_a_licence_that_nobody_tells_beside_one_that_is_allowed_is_unknown() -> None:
    [half] = pip_licenses_in([{"Name": "a", "Version": "1", "License": "MIT License; UNKNOWN"}])
    assert not passes(half, allow=["MIT"])


def test_one_component_with_a_forbidden_licence_stops_all() -> None:
    agpl = component("AGPL-3.0-only", name="mongo")
    assert passes(component("MIT"), deny=["AGPL-3.0-only"])
    assert not passes(component("MIT"), agpl, deny=["AGPL-3.0-only"])


@pytest.mark.parametrize(
    ("said", "expression"),
    [
        ("MIT License", "MIT"),
        ("MIT", "MIT"),
        ("BSD-3-Clause", "BSD-3-Clause"),
        ("GNU General Public License v3 (GPLv3); MIT License", "(GPL-3.0-only) AND (MIT)"),
        ("UNKNOWN", ""),
        ("", ""),
        ("MIT License; UNKNOWN", "(MIT) AND (NOASSERTION)"),
        ("BSD License", "BSD License"),
    ],
)
def test_what_pip_licenses_says_is_read_as_spdx_where_that_is_sure(said: str, expression: str) -> None:
    [found] = licence_findings(pip_licenses_in([{"Name": "Left_Pad", "Version": "1.0", "License": said}]))
    assert (found.rule, found.component, found.kind) == (expression, "pkg:pypi/left-pad@1.0", "licence")


@pytest.mark.parametrize("document", [{}, "x", [1], [{"Name": "a"}], None])
def test_what_is_no_list_of_licences_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="`Name`, `Version` and `License` is expected"):
        pip_licenses_in(document)
