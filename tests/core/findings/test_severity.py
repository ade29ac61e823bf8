"""Severities: vectors, several, none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.core.findings.judgement import judge
from release_pipelines.core.findings.severity import opinion, rated, rating_of
from release_pipelines.core.model.finding import SEVERITIES, Finding
from tests.core.findings.findings import NOW, found, rules

V4 = "CVSS:4.0/AV:L/AC:H/AT:N/PR:N/UI:P/VC:H/VI:L/VA:H/SC:H/SI:H/SA:H"
V3 = "CVSS:3.1/AV:L/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H"
WORST = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:N/SA:N"


def test_of_several_the_highest_counts_and_all_are_shown_with_their_source() -> None:
    scores = [opinion("CVSS_V4", V4), opinion("CVSS_V3", V3), opinion("Ubuntu", "medium")]
    assert [(it.source, it.score, it.rating) for it in scores] == [
        ("CVSS_V4", 7.2, "high"),
        ("CVSS_V3", 7.8, "high"),
        ("Ubuntu", None, "medium"),
    ]
    assert rating_of(scores) == "high"


def test_only_a_vector_of_cvss_4_is_critical() -> None:
    assert (opinion("CVSS_V4", WORST).score, rating_of([opinion("CVSS_V4", WORST)])) == (9.9, "critical")


@pytest.mark.parametrize(
    ("said", "rating", "score"),
    [
        ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "critical", 9.8),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", "low", 0.0),
        ("AV:N/AC:L/Au:N/C:C/I:C/A:C", "high", 10.0),
        ("(AV:N/AC:L/Au:N/C:P/I:P/A:P)", "high", 7.5),
        ("9.8", "critical", 9.8),
        ("11", "unknown", None),
        ("nan", "unknown", None),
        ("CVSS:3.1/AV:N", "unknown", None),
        ("CVSS:5.0/AV:N/AC:L", "unknown", None),
        ("CVSS:4.0/AV:N/AC:L", "unknown", None),
        ("AV:N/AC:L/Au:N", "unknown", None),
        ("Important", "high", None),
        ("MODERATE", "medium", None),
        ("negligible", "low", None),
        ("untriaged", "unknown", None),
        ("", "unknown", None),
        (None, "unknown", None),
    ],
)
def test_what_a_source_says_of_a_severity(said: str | None, rating: str, score: float | None) -> None:
    found = opinion("nvd", said)
    assert (found.rating, found.score) == (rating, score)


def test_no_severity_is_unknown_and_blocks_unless_the_app_says_otherwise() -> None:
    assert rating_of([]) == "unknown"
    nothing = Finding(kind="misconfiguration", severity="unknown", rule="CKV_1", file="k8s.yaml", text="Bad.")
    judged = judge({"checkov": [found(nothing)]}, rules(block_on="critical"), NOW)
    assert "nobody can say its severity" in judged.blocking[0].words
    assert judge({"checkov": [found(nothing)]}, rules(block_on="low", unknown_severity="ignore"), NOW).passes


def test_a_vector_that_cannot_be_computed_is_not_outvoted_by_a_mild_word() -> None:
    broken = opinion("CVSS_V4", "CVSS:4.0/AV:N")
    assert rating_of([broken, opinion("Ubuntu", "low")]) == "unknown"
    assert rating_of([broken, opinion("Ubuntu", "critical")]) == "critical"
    assert rating_of([opinion("Debian", "not yet assigned"), opinion("Ubuntu", "low")]) == "low"


@given(st.lists(st.sampled_from(SEVERITIES), min_size=1))
def test_another_opinion_never_makes_it_milder(words: list[str]) -> None:
    ratings = [rating_of([opinion("x", it) for it in words[:count]]) for count in range(1, len(words) + 1)]
    assert ratings == sorted(ratings, key=SEVERITIES.index)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_number_is_a_severity_or_unknown(number: float) -> None:
    assert (rated(number) == "unknown") == (not 0 <= number <= 10)


@given(st.text())
def test_whatever_is_said_is_an_opinion(said: str) -> None:
    assert opinion("x", said).rating in (*SEVERITIES, "unknown")
