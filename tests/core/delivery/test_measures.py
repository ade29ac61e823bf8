"""DORA's five measures, against counts by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.core.delivery.deployments import Attempt, Commit, deployments, in_production, of_apps
from release_pipelines.core.delivery.measures import Bar, Span, by_week, measures, weeks
from release_pipelines.core.delivery.words import frequency, in_words

UTC = ZoneInfo("UTC")


def at(text: str, year: int = 2026) -> float:
    """Unix time of ``month-dayThour:minute[:second]``, UTC."""
    return datetime.fromisoformat(f"{year}-{text}").replace(tzinfo=timezone.utc).timestamp()


def attempt(
    release: str, outcome: str | None = "released", full: str | None = None, first: str | None = None, **more: object
) -> Attempt:
    full_at = at(full) if full else None
    first_at = at(first) if first else full_at - 600 if full_at else None
    given: dict[str, object] = {"app": "shop", "environment": "production", **more}
    return Attempt(release=release, outcome=outcome, first_traffic_at=first_at, full_at=full_at, **given)  # type: ignore[arg-type]


def span(begin: str, end: str, zone: ZoneInfo = UTC) -> Span:
    return Span(date.fromisoformat(f"2026-{begin}"), date.fromisoformat(f"2026-{end}"), zone)


JULY = [
    attempt("1", full="07-01T10:00"),
    attempt("2", "no_op"),
    attempt("3", "rejected"),
    attempt("4", full="07-06T14:00"),
    attempt("4#1", "no_op"),
    attempt("5", "rolled_back", first="07-07T09:00", back_at=at("07-07T09:04:30")),
    attempt("6", "failed"),
    attempt("7", "expired"),
    attempt("8", full="07-09T15:00"),
    attempt("9", "superseded", first="07-10T08:00"),
    attempt("10", "no_op"),
]
AUGUST = [
    attempt("r1", full="08-03T09:00"),
    attempt("r2", full="08-04T09:00"),
    attempt("r3", full="08-04T10:30", remedies=("r2",)),
    attempt("r4", full="08-05T09:00"),
    attempt("r5", full="08-06T09:00", degraded_since=at("08-06T11:15")),
    attempt("r6", full="08-06T12:00", remedies=("r5",)),
    attempt("r7", full="08-07T09:00"),
    attempt("r8", "rolled_back", first="08-08T09:00", back_at=at("08-08T09:02:30")),
]


def test_only_what_reached_users_and_ended_is_a_deployment() -> None:
    found = measures(deployments(JULY), span("07-01", "07-15"))
    assert (found.deployed, found.attempts, found.per_week) == (3, 4, 1.5)
    assert (found.change_fail_rate, found.rework_rate) == (0.25, 0.0)
    assert (found.recovery_time, found.recovered) == (270.0, 1)


def test_failures_count_once_and_whoever_puts_them_right_is_rework() -> None:
    found = measures(deployments(AUGUST), span("08-01", "09-01"))
    assert (found.deployed, found.attempts) == (7, 8)
    assert (found.change_fail_rate, found.rework_rate) == (0.375, 0.25)
    assert (found.recovery_time, found.recovered, found.not_recovered) == (45 * 60.0, 3, 0)


def test_two_remedies_of_one_release_are_one_failure() -> None:
    again = [*AUGUST, attempt("r9", full="08-09T09:00", remedies=("r2",))]
    found = measures(deployments(again), span("08-01", "09-01"))
    assert (found.failed, found.rework, found.attempts) == (3, 3, 9)
    assert found.recovery_time == 45 * 60.0, "the first remedy ended it"


def test_what_nobody_has_put_right_yet_is_open_and_not_in_the_median() -> None:
    broken = [*AUGUST, attempt("r9", "rollback_failed", first="08-20T09:00")]
    found = measures(deployments(broken), span("08-01", "09-01"))
    assert (found.recovered, found.not_recovered, found.recovery_time) == (3, 1, 45 * 60.0)
    mended = [*broken, attempt("r10", full="08-20T10:00")]
    assert measures(deployments(mended), span("08-01", "09-01")).not_recovered == 0


def test_a_remedy_of_the_next_month_changes_this_ones_rate() -> None:
    hotfix = attempt("r9", full="09-02T09:00", remedies=("r7",))
    found = measures(deployments([*AUGUST, hotfix]), span("08-01", "09-01"))
    assert (found.failed, found.attempts) == (4, 8)


def test_a_remedy_that_failed_itself_has_put_nothing_right() -> None:
    line = [
        attempt("bad", full="08-10T09:00"),
        attempt("other", full="08-10T10:00"),
        attempt("fix1", "rolled_back", first="08-10T11:00", back_at=at("08-10T11:05"), remedies=("bad",)),
        attempt("fix2", full="08-10T12:00", remedies=("bad",)),
    ]
    found = {it.attempt.release: it for it in deployments(line)}
    assert found["bad"].recovered_at == at("08-10T12:00")
    assert [it.release for it in line if found[it.release].failed] == ["bad", "fix1"]
    only = {it.attempt.release: it for it in deployments(line[:3])}
    assert only["bad"].recovered_at is None
    later = {it.attempt.release: it for it in deployments([*line[:3], attempt("next", full="08-11T09:00")])}
    assert later["bad"].recovered_at == at("08-11T09:00")


def test_only_a_version_that_held_ends_a_failure() -> None:
    line = [
        attempt("stuck", "rollback_failed", first="08-10T09:00"),
        attempt("worse", full="08-10T10:00"),
        attempt("fix", full="08-10T11:00", remedies=("worse",)),
    ]
    found = {it.attempt.release: it.recovered_at for it in deployments(line)}
    assert found == {"stuck": at("08-10T11:00"), "worse": at("08-10T11:00"), "fix": None}


def test_what_got_traffic_before_the_last_environment_is_no_deployment() -> None:
    line = [attempt("1", full="07-01T10:00", environment="staging"), attempt("1", full="07-01T12:00")]
    line.append(attempt("2", "rolled_back", first="07-02T10:00", environment="staging"))
    found = measures(deployments(in_production(line, {"shop": ("staging",)})), span("07-01", "07-15"))
    assert (found.deployed, found.attempts) == (1, 1)
    assert len(in_production(line, {"cart": ("staging",)})) == 3


def test_a_week_has_its_own_measures_and_they_sum_up() -> None:
    asked = span("08-01", "09-01")
    found = deployments(AUGUST)
    told = by_week(found, asked)
    assert [it.bar for it in told] == weeks(found, asked)
    assert sum(it.measures.attempts for it in told) == 8
    assert [len(it.found) for it in told] == [0, 8, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("times", "words"), [(0, "0"), (7 / 15, "0.47"), (2.1, "2.1"), (9.8, "9.8"), (12.3, "12"), (123.0, "123")]
)
def test_a_frequency_is_read_without_an_exponent(times: float, words: str) -> None:
    assert frequency(times) == words


def test_measures_are_read_with_what_they_are_made_of() -> None:
    month = in_words(measures(deployments(SEPTEMBER), span("09-01", "10-01")))
    assert (month.lead_time, month.left_out) == ("14.5 h (4 commits)", "1 committed after it was deployed")
    august = in_words(measures(deployments(AUGUST), span("08-01", "09-01")))
    assert (august.deployed, august.change_fail_rate, august.rework_rate) == ("7", "37.5 % (3 of 8)", "25.0 % (2 of 8)")
    assert august.recovery_time == "45 min (3 failures)"
    nothing = in_words(measures([], span("06-01", "07-01")))
    assert nothing[3:] == ("–", "–", "–", "–", "")  # noqa: RUF001


C = {
    name: Commit(name, at(when))
    for name, when in {
        "c1": "09-01T08:00", "c2": "09-01T12:00", "c3": "09-02T09:00", "c4": "09-03T07:00", "c5": "09-03T16:00",
    }.items()
}  # fmt: skip
OLD = tuple(Commit(f"old{it}", at("01-01T00:00")) for it in range(4000))
SEPTEMBER = [
    attempt("A", full="08-31T10:00", commits=OLD),
    attempt("B", "rolled_back", first="09-01T15:00", commits=(C["c1"], C["c2"])),
    attempt("C", full="09-02T12:00", commits=(C["c1"], C["c2"], C["c3"])),
    attempt("D", full="09-02T18:00"),
    attempt("E", full="09-03T12:00", commits=(C["c3"], C["c4"], C["c5"])),
]
HOUR = 3600.0


def test_each_commit_counts_once_from_its_author_to_the_first_release_that_got_through() -> None:
    found = deployments(SEPTEMBER)
    assert {it.attempt.release: it.lead_times for it in found if it.lead_times} == {
        "C": (28 * HOUR, 24 * HOUR, 3 * HOUR),
        "E": (5 * HOUR,),
    }
    month = measures(found, span("09-01", "10-01"))
    assert (month.lead_time, month.commits, month.ahead) == (14.5 * HOUR, 4, 1)


def test_merges_and_commits_of_other_folders_are_known_but_do_not_count() -> None:
    merge = replace(C["c2"], counts=False)
    releases = [SEPTEMBER[0], attempt("C", full="09-02T12:00", commits=(C["c1"], merge))]
    releases.append(attempt("E", full="09-03T12:00", commits=(C["c2"], C["c4"])))
    assert [it.lead_times for it in deployments(releases)] == [(), (28 * HOUR,), (5 * HOUR,)]


def test_frequency_is_told_by_week_and_by_day() -> None:
    nine = deployments(attempt(f"{day}", full=f"06-{day:02}T10:00") for day in range(1, 10))
    found = measures(nine, span("06-01", "07-01"))
    assert (found.deployed, round(found.per_week, 2), round(found.per_day, 2)) == (9, 2.1, 0.3)


def test_weeks_without_a_deployment_are_there_and_cut_ones_say_so() -> None:
    two = deployments([attempt("1", full="09-18T10:00"), attempt("2", full="10-01T10:00")])
    asked = span("09-15", "10-15")
    assert round(measures(two, asked).per_week, 2) == 0.47
    assert weeks(two, asked) == [
        Bar(date(2026, 9, 14), 1, 6), Bar(date(2026, 9, 21), 0, 7), Bar(date(2026, 9, 28), 1, 7),
        Bar(date(2026, 10, 5), 0, 7), Bar(date(2026, 10, 12), 0, 3),
    ]  # fmt: skip


def test_of_nothing_only_the_frequency_has_a_value() -> None:
    found = measures([], span("06-01", "07-01"))
    assert (found.deployed, found.per_week) == (0, 0.0)
    assert (found.lead_time, found.change_fail_rate, found.recovery_time, found.rework_rate) == (None,) * 4


def test_apps_together_are_sums_and_no_means_of_rates() -> None:
    x = [attempt("x1", full="06-02T10:00", app="x"), attempt("x2", "rolled_back", first="06-03T10:00", app="x")]
    y = [attempt(f"y{it}", full=f"06-{it + 1:02}T11:00", app="y") for it in range(18)]
    found = measures(deployments([*x, *y]), span("06-01", "07-01"))
    assert (found.change_fail_rate, found.attempts) == (0.05, 20)


def test_a_release_in_two_production_environments_is_one_of_its_app() -> None:
    east = attempt("r", full="06-02T10:00", environment="east")
    west = attempt("r", "rolled_back", first="06-02T11:00", environment="west", back_at=at("06-02T11:05"))
    found = deployments([east, west])
    assert [it.failed for it in found] == [False, True]
    [one] = of_apps(found)
    assert (one.at, one.failed, one.deployed, one.recovery) == (at("06-02T11:00"), True, False, 300.0)


@pytest.mark.parametrize(("zone", "hours"), [("Europe/Berlin", 743), ("UTC", 744)])
def test_a_span_is_days_of_its_zone(zone: str, hours: int) -> None:
    begin, end = span("03-01", "04-01", ZoneInfo(zone)).instants()
    assert (end - begin) / HOUR == hours


def test_a_span_without_a_day_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one day"):
        span("06-02", "06-02")


@given(st.permutations([*AUGUST, *SEPTEMBER]), st.integers(1, 27))
def test_order_does_not_matter_and_parts_of_a_span_sum_to_it(attempts: list[Attempt], cut: int) -> None:
    found = deployments(attempts)
    assert found == deployments([*AUGUST, *SEPTEMBER])
    whole = measures(found, span("08-01", "10-01"))
    parts = [measures(found, span("08-01", f"09-{cut:02}")), measures(found, span(f"09-{cut:02}", "10-01"))]
    for name in ("deployed", "attempts", "failed", "rework", "commits", "ahead", "recovered", "not_recovered"):
        assert getattr(whole, name) == sum(getattr(part, name) for part in parts), name
    assert whole.failed <= whole.attempts
