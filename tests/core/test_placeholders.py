"""Placeholders name values, compute nothing, and leave other braces alone."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.placeholders import filled, named_stages

KNOWN = {"version": "1.10", "stages": {"load": {"p95": 120, "pages": [{"path": "/"}], "note": "{version}"}}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v{version}", "v1.10"),
        ("{stages.load.p95} ms", "120 ms"),
        ("{stages.load.pages.0.path}", "/"),
        ("{stages.load.pages}", '[{"path": "/"}]'),
        ("${version} ${HOME} {} {x} {print $1}", "${version} ${HOME} {} {x} {print $1}"),
        ('{"version": 3}', '{"version": 3}'),
        ("{{ conn.idp.password }}", "{{ conn.idp.password }}"),
        ("{stages.load.note}", "{version}"),
    ],
)
def test_what_it_names_stands_in_its_place(text: str, expected: str) -> None:
    assert filled(text, KNOWN) == expected


def test_a_value_keeps_its_type_where_that_is_wanted() -> None:
    given: dict[str, Any] = {"p95": "{stages.load.p95}", "list": ["{version}", 3], "{version}": None}
    assert filled(given, KNOWN, typed=True) == {"p95": 120, "list": ["1.10", 3], "{version}": None}
    assert filled(given, KNOWN) == {"p95": "120", "list": ["1.10", 3], "{version}": None}


@pytest.mark.parametrize("text", ["{stages.load.p99}", "{stages.soak.p95}", "{stages.load.p95.x}", "{digest}"])
def test_what_is_not_there_is_an_error_and_never_an_empty_text(text: str) -> None:
    with pytest.raises(ReleaseError, match=r"^There is no `\{.*\}` here: what it names has given no such value"):
        filled(text, KNOWN)


def test_the_stages_that_a_text_names_are_known() -> None:
    assert list(named_stages("{stages.load.p95} of {stages.soak.p95} in {version} ${stages.no.x}")) == ["load", "soak"]
