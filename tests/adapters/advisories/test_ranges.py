"""Whether a version is affected, and which one ends it, as the OSV schema says."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.adapters.advisories.ranges import evaluate
from release_pipelines.adapters.advisories.versions import NoOrder


def entry(*events: tuple[str, str], kind: str = "ECOSYSTEM", versions: tuple[str, ...] = ()) -> dict[str, Any]:
    ranges = [{"type": kind, "events": [{name: version} for name, version in events]}] if events else []
    return {"ranges": ranges, "versions": list(versions)}


def affected(entries: list[dict[str, Any]], version: str, ecosystem: str = "PyPI") -> bool:
    return evaluate(entries, ecosystem, version).yes


def fix(entries: list[dict[str, Any]], version: str, ecosystem: str = "PyPI") -> tuple[str | None, str | None]:
    said = evaluate(entries, ecosystem, version)
    return said.fixed, said.newer_than


def test_the_last_affected_version_is_affected_and_is_no_fix() -> None:
    joblib = [entry(("introduced", "0"), ("last_affected", "1.4.2"))]
    assert [affected(joblib, it) for it in ("1.4.1", "1.4.2", "1.5.3")] == [True, True, False]
    assert fix(joblib, "1.4.2") == (None, "1.4.2")


def test_every_entry_of_a_package_counts_and_the_fix_is_that_of_its_branch() -> None:
    elasticsearch = [
        entry(("introduced", "0"), ("fixed", "7.17.16")),
        entry(("introduced", "8.0.0"), ("fixed", "8.11.2")),
    ]
    answers = [affected(elasticsearch, it, "Maven") for it in ("7.17.15", "7.17.16", "8.0.0", "8.11.2")]
    assert answers == [True, False, True, False]
    assert fix(elasticsearch, "8.0.0", "Maven") == ("8.11.2", None)
    assert fix(elasticsearch, "7.17.15", "Maven") == ("7.17.16", None)


@pytest.mark.parametrize("kind", ["SEMVER", "ECOSYSTEM"])
def test_events_count_in_the_order_of_their_versions(kind: str) -> None:
    events = (("introduced", "3.0.0"), ("fixed", "3.2.5"), ("introduced", "1.0.0"), ("fixed", "1.0.2"))
    package = [entry(*events, kind=kind)]
    answers = [affected(package, it, "npm") for it in ("0.9.0", "1.0.1", "1.0.2", "2.9.9", "3.2.4", "3.2.5")]
    assert answers == [False, True, False, False, True, False]
    assert fix(package, "1.0.1", "npm") == ("1.0.2", None)
    assert fix(package, "3.2.4", "npm") == ("3.2.5", None)


def test_a_list_of_versions_without_ranges_counts() -> None:
    package = [entry(versions=("2.0",))]
    assert [affected(package, it) for it in ("2.0", "2.0.0", "2.1")] == [True, True, False]
    assert fix(package, "2.0") == (None, None)


def test_a_listed_version_is_affected_beside_ranges_that_do_not_have_it() -> None:
    package = [entry(("introduced", "1.0"), ("fixed", "1.5"), versions=("0.9",))]
    assert [affected(package, it) for it in ("0.8", "0.9", "1.4", "1.5")] == [False, True, True, False]


def test_one_version_alone_may_be_affected() -> None:
    package = [entry(("introduced", "1.4"), ("last_affected", "1.4"))]
    assert [affected(package, it) for it in ("1.3", "1.4", "1.5")] == [False, True, False]


def test_a_span_that_begins_where_another_ends_is_no_gap() -> None:
    package = [entry(("introduced", "0"), ("introduced", "1.0"), ("fixed", "1.0"), ("fixed", "2.0"))]
    assert [affected(package, it) for it in ("0.5", "1.0", "1.5", "2.0")] == [True, True, True, False]


def test_a_span_without_length_affects_nothing() -> None:
    package = [entry(("introduced", "0"), ("fixed", "0"))]
    assert not affected(package, "1.0")


def test_a_version_that_another_entry_still_hits_is_no_fix() -> None:
    package = [
        entry(("introduced", "1.0"), ("fixed", "1.2")),
        entry(("introduced", "1.1"), ("fixed", "1.3")),
    ]
    assert fix(package, "1.1.5") == ("1.3", None)
    assert fix(package, "1.0.5") == ("1.3", None)


def test_the_fix_of_another_branch_is_not_offered() -> None:
    package = [
        entry(("introduced", "1.0"), ("last_affected", "1.9")),
        entry(("introduced", "2.0"), ("fixed", "2.1")),
    ]
    assert fix(package, "1.5") == (None, None)  # 2.0 is newer than 1.9, and affected


def test_what_never_ends_has_no_fix() -> None:
    assert fix([entry(("introduced", "1.0"))], "9.9") == (None, None)


def test_a_range_counts_up_to_its_limit() -> None:
    package = [entry(("introduced", "1.0"), ("limit", "2.0"))]
    assert [affected(package, it) for it in ("1.5", "2.0", "2.5")] == [True, False, False]
    assert affected([entry(("introduced", "1.0"), ("limit", "*"))], "2.5")


@pytest.mark.parametrize(
    ("event", "answers"),
    [
        (("last_affected", "2.12.0"), {"2.12.0+cpu": True, "2.12.1+cpu": False}),
        (("fixed", "2.6.0"), {"2.5.1+cu124": True, "2.6.0+cu124": False, "2.6.0rc1": True, "2.6.0.post1": False}),
    ],
)
def test_the_label_of_a_python_build_changes_nothing(event: tuple[str, str], answers: dict[str, bool]) -> None:
    torch = [entry(("introduced", "0"), event)]
    assert {it: affected(torch, it) for it in answers} == answers


@pytest.mark.parametrize(
    "entries",
    [
        [entry(("introduced", "0"), ("fixed", "what"))],
        [entry(("introduced", "0"), ("fixed", "abc123"), kind="GIT")],
        [entry()],
    ],
    ids=["a version that is none", "only commits", "nothing"],
)
def test_where_nobody_can_say_it_is_no_answer(entries: list[dict[str, Any]]) -> None:
    with pytest.raises(NoOrder):
        evaluate(entries, "PyPI", "1.0")


def test_one_range_that_cannot_be_read_hides_no_other_that_hits() -> None:
    package = [entry(("introduced", "0"), ("fixed", "what")), entry(("introduced", "0"), ("fixed", "2.0"))]
    assert affected(package, "1.0")
    with pytest.raises(NoOrder):
        evaluate(package, "PyPI", "3.0")


def test_a_version_that_is_none_is_affected_where_it_is_listed_word_for_word() -> None:
    package = [entry(versions=("dev-master",))]
    assert affected(package, "dev-master", "Packagist")
    with pytest.raises(NoOrder):
        evaluate(package, "Packagist", "dev-other")
