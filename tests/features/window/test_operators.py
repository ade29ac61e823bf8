"""Right before an environment is touched its calendars are asked: it goes on, waits, or ends (R19)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from release_pipelines.adapters.history.store import History
from release_pipelines.airflow import windows
from release_pipelines.airflow.hooks import platform as hook
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.core.calendars import moments
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.window import OnClose, WindowRule
from release_pipelines.features.window import changed
from release_pipelines.features.window.operators import WaitForWindowOperator
from release_pipelines.features.window.triggers import WindowTrigger
from tests.fakes import GOOD, NEW, World, artifact, target
from tests.features.helpers import Ti

RELEASE = "release_shop/window#0"
SATURDAYS = '{window: saturdays, days: sat, from: "22:00", to: "02:00"}'
BEFORE = {"before": {"version": "1.0.0", "digest": GOOD}}


def at(text: str) -> float:
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=timezone.utc).timestamp()


class Clock:
    """The time that tasks and triggers see; a trigger's pauses take no time."""

    now = at("2026-11-26T12:00Z")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    it = Clock()
    monkeypatch.setattr("time.time", lambda: it.now)
    return it


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """1.0.0 serves, as it did when the release was asked for."""
    it = World()
    it.runs("stable", artifact("1.0.0", GOOD))
    monkeypatch.setattr(hook, "_build", lambda *_: it.platform())
    monkeypatch.setattr(RegistryHook, "digest_of", lambda self, image, reference: reference)
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    for name in ("PLATFORM", "REGISTRY"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "generic"}))
    return it


Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.setenv("RELEASE_PIPELINES_CALENDARS", str(tmp_path))

    def make(*entries: str) -> None:
        lines = "".join(f"- {it}\n" for it in entries)
        (tmp_path / "eu.yaml").write_text(f"time_zone: Europe/Berlin\nentries:\n{lines}")

    make(SATURDAYS)
    return make


def rule(**more: Any) -> WindowRule:
    given = {"calendars": ["eu"], "app": "shop", "environment": "production", "time_zone": "Europe/Berlin"}
    return WindowRule.model_validate({**given, **more})


def begin(approved_by: str | None = "bob") -> History:
    history = HistoryHook().history()
    history.begin(RELEASE, "shop", "release_shop", "window", "1.1.0", "alice")
    history.record_artifact(RELEASE, artifact())
    if approved_by:
        history.record_approval(RELEASE, NEW, "approved", approved_by)
    return history


def waiting(**more: Any) -> WaitForWindowOperator:
    given = {"rule": rule(), "target": target(), "artifact": artifact(), "preflight": BEFORE, "release": RELEASE}
    given |= {"approval_holds": 35 * 86400.0, "approvers": ["bob"]}
    return WaitForWindowOperator(task_id="window", **{**given, **more})


def context() -> Any:
    return {"ti": Ti("window"), "dag_run": SimpleNamespace(dag_id="release_shop", run_id="window")}


def deferred(task: WaitForWindowOperator) -> WindowTrigger:
    with pytest.raises(TaskDeferred) as caught:
        task.execute(context())
    return caught.value.trigger  # type: ignore[return-value]


def fails(task: WaitForWindowOperator) -> tuple[str, Ti]:
    given = context()
    with pytest.raises(AirflowFailException) as caught:
        task.execute(given)
    return str(caught.value), given["ti"]


def test_in_an_open_window_the_release_goes_on(write: Write, clock: Clock) -> None:
    begin()
    clock.now = at("2026-11-28T21:30Z")
    assert waiting().execute(context())["began_at"] == clock.now


def test_in_a_closed_one_it_waits_and_the_run_says_until_when(
    write: Write, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:  # R13
    history = begin()
    trigger = deferred(waiting())
    assert trigger.serialize()[1]["expires_at"] == pytest.approx(history.approval(RELEASE).at + 35 * 86400)
    told = [it.sentence for it in history.release(RELEASE).events if it.kind == "window"]
    assert told[0].startswith("Waits for its window until Sat 28 Nov 2026 22:00 CET: closed: outside of the windows")
    assert "The approval holds until" in told[0]


def test_where_the_app_does_not_wait_it_is_refused_and_says_why(write: Write) -> None:
    begin()
    sentence, _ = fails(waiting(rule=rule(when_closed="refuse")))
    assert "shop may not be changed in production now (closed: outside of the windows of calendar eu until" in sentence


def test_a_calendar_that_cannot_be_read_is_closed(write: Write) -> None:
    begin()
    sentence, _ = fails(waiting(rule=rule(calendars=["us"], when_closed="refuse")))
    assert "us.yaml: no such file" in sentence


@pytest.mark.parametrize("begins", [True, False])
def test_after_the_latest_start_nothing_is_begun_any_more(write: Write, clock: Clock, begins: bool) -> None:
    begin()
    clock.now = at("2026-11-28T23:50Z" if begins else "2026-11-29T00:05Z")
    late = rule(latest_start=3600)
    if begins:
        assert waiting(rule=late).execute(context())
        return
    deferred(waiting(rule=late))
    [told] = [it for it in HistoryHook().history().release(RELEASE).events if it.kind == "window"]
    assert "the latest start was Sun 29 Nov 2026 01:00 CET" in told.sentence
    assert "It waits for the next window, which opens Sat 5 Dec 2026 22:00 CET." in told.sentence


def test_an_approval_that_has_expired_before_a_window_opened_is_none(write: Write, clock: Clock) -> None:
    history = begin()
    clock.now = history.approval(RELEASE).at + 36 * 86400
    sentence, ti = fails(waiting())
    assert "its approval held until" in sentence
    assert ti.pushed["decision"] == "expired"


def test_what_runs_on_stable_now_has_to_be_what_the_approver_saw(write: Write, world: World, clock: Clock) -> None:
    begin()
    clock.now = at("2026-11-28T21:30Z")
    world.runs("stable", artifact("1.0.5", "sha256:" + "5" * 64))
    sentence, ti = fails(waiting())
    assert sentence.startswith("stable runs 1.0.5")
    assert "and ran 1.0.0 when it was asked for" in sentence
    assert ti.pushed["decision"] == "expired"


def test_the_digest_has_to_be_there_still(write: Write, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:  # R1
    begin()
    clock.now = at("2026-11-28T21:30Z")
    monkeypatch.setattr(RegistryHook, "digest_of", lambda self, image, reference: None)
    assert "any more" in fails(waiting())[0]


def test_a_version_that_went_back_elsewhere_since_its_approval_is_approved_anew(write: Write, clock: Clock) -> None:
    history = begin()
    clock.now = at("2026-11-28T21:30Z")
    other = "release_shop/other#0"
    history.begin(other, "shop", "release_shop", "other", "1.1.0", "alice")
    history.record_artifact(other, artifact())
    history.finish(other, "rolled_back", "Rolled back 1.1.0: errors.")
    history.mark(other, "staging", True, "Rolled back 1.1.0: errors.")
    assert "since its approval 1.1.0 went back in staging" in fails(waiting())[0]


@pytest.mark.parametrize(("result", "holds"), [("3 findings", False), ("nothing found", True)])
def test_only_a_new_finding_asks_again(write: Write, clock: Clock, result: str, holds: bool) -> None:
    clock.now -= 60
    history = begin(None)
    history.record_event(RELEASE, "evidence", "x", None, {"digest": NEW, "results": {"trivy": "nothing found"}})
    history.record_approval(RELEASE, NEW, "approved", "bob")
    clock.now = at("2026-11-28T21:30Z")
    other = "release_shop/scanned#0"
    history.begin(other, "shop", "release_shop", "scanned", "1.1.0", "alice")
    history.record_event(other, "evidence", "y", None, {"digest": NEW, "results": {"trivy": result}})
    if holds:
        assert waiting().execute(context())
    else:
        assert "trivy found: 3 findings" in fails(waiting())[0]


@pytest.mark.parametrize(
    ("before", "now", "gone"),
    [
        (["bob", "carol"], ["bob", "carol"], False),
        (["bob", "carol"], ["carol"], True),
        (["bob@example.com"], ["bob@example.com"], False),
        (["bob@example.com"], ["carol"], True),
        (["bob"], ["bob", "dave"], False),
    ],
)
def test_who_approved_has_to_be_an_approver_still(before: list[str], now: list[str], gone: bool) -> None:  # R10
    assert changed.no_longer("bob", before, now) is gone


class Asleep:
    """Commands of a release in virtual time: each pause moves the clock on."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.after: Callable[[], None] = lambda: None
        self.aborted: Any = None
        self.pauses = 0

    async def state(self) -> Any:
        return SimpleNamespace(abort=self.aborted)

    async def wait(self, seconds: float) -> None:
        self.pauses += 1
        self.clock.now += seconds
        self.after()

    async def answer(self, command: Any, effect: str) -> None:
        self.answered = effect


@pytest.fixture
def asleep(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Asleep:
    it = Asleep(clock)
    monkeypatch.setattr("release_pipelines.airflow.commands.commands_of", lambda release: it)
    monkeypatch.setattr("release_pipelines.airflow.windows.asking", asking)
    return it


def asking(rule: WindowRule) -> Any:
    async def ask(moment: float) -> Any:
        return windows.standing_at(rule, moment)

    return ask


def woken(expires_at: float | None = None, **more: Any) -> dict[str, Any]:
    trigger = WindowTrigger(rule=to_json(rule(**more)), release=RELEASE, expires_at=expires_at)

    async def run() -> list[Any]:
        return [it async for it in WindowTrigger(**trigger.serialize()[1]).run()]

    [event] = asyncio.run(run())
    return event.payload  # type: ignore[no-any-return]


def test_nothing_begins_before_the_exact_second(write: Write, clock: Clock, asleep: Asleep) -> None:
    begin()
    clock.now = at("2026-11-28T20:59Z") + 0.4
    assert woken()["open"]
    assert at("2026-11-28T21:00Z") <= clock.now < at("2026-11-28T21:00Z") + 1


def test_a_freeze_put_in_while_it_waits_counts(write: Write, clock: Clock, asleep: Asleep) -> None:
    begin()
    clock.now = at("2026-11-28T20:59Z")
    write(SATURDAYS, "{freeze: stocktaking, from: 2026-11-28, to: 2026-12-05}")
    asleep.after = lambda: write(SATURDAYS) if clock.now > at("2026-11-28T21:10Z") else None
    assert woken()["open"]
    assert clock.now > at("2026-11-28T21:10Z")


def test_a_triggerer_that_was_away_over_a_whole_window_waits_for_the_next(
    write: Write, clock: Clock, asleep: Asleep
) -> None:
    begin()
    clock.now = at("2026-11-29T09:00Z")
    asleep.after = lambda: setattr(clock, "now", max(clock.now, at("2026-12-05T20:59:50Z")))
    assert woken()["open"]
    assert clock.now >= at("2026-12-05T21:00Z")


def test_the_end_of_the_approval_ends_the_wait(write: Write, clock: Clock, asleep: Asleep) -> None:
    begin()
    assert woken(expires_at=clock.now + 40) == {"expired": True}


def test_a_person_ends_the_wait(write: Write, clock: Clock, asleep: Asleep) -> None:
    begin()
    asleep.aborted = SimpleNamespace(by="carol", reason="not this week")
    assert woken() == {"aborted": {"by": "carol", "reason": "not this week"}}
    assert asleep.answered == "Ended the wait; nothing was changed."


@pytest.mark.parametrize(
    ("moment", "took", "words"),
    [
        ("2026-11-28T23:50Z", [48 * 60.0, 61 * 60.0], "; it fits: the last releases took 48 min to "),
        ("2026-11-29T00:05Z", [48 * 60.0, 61 * 60.0], "; **it does not fit**: the last releases took 48 min to "),
        ("2026-11-28T23:50Z", [], "whether a release fits is unknown"),
    ],
)
def test_the_approver_sees_whether_a_release_fits(
    write: Write, clock: Clock, moment: str, took: list[float], words: str
) -> None:
    said = windows.window_in_words(rule(), took, at(moment))
    assert words in said
    if took:
        assert ("1 h 10 min are left" in said) or ("55 min are left" in said)


@pytest.mark.parametrize(
    ("entry", "took", "said"),
    [
        (
            '{window: short, days: daily, from: "12:00", to: "12:30"}',
            [48 * 60.0, 61 * 60.0],
            ['eu: "short" is 30 min long, and the last releases took 48 min to 1 h 1 min'],
        ),
        ('{window: hour, days: daily, from: "12:00", for: 61m}', [48 * 60.0, 61 * 60.0], []),
        (
            '{window: short, days: daily, from: "12:00", to: "12:30"}\n- {window: next, days: daily, from: "12:30", for: 2h}',
            [48 * 60.0],
            [],  # windows that touch are one
        ),
        ("{freeze: f, from: 2026-12-24, to: 2026-12-26}", [48 * 60.0], []),
        ('{window: cart, days: daily, from: "12:00", to: "12:30", apps: cart}', [48 * 60.0], []),
        (
            '{window: short, days: daily, from: "12:00", to: "12:30"}',
            [],
            ["eu: whether a release fits into its windows is unknown: none has come to a good end here yet"],
        ),
    ],
    ids=["too short", "long enough", "touching", "freezes", "of another app", "unknown"],
)
def test_preflight_names_windows_that_are_shorter_than_releases_take(
    write: Write, entry: str, took: list[float], said: list[str]
) -> None:
    write(entry)
    assert windows.too_short_now(rule(), took) == said


@pytest.mark.parametrize(("night", "left"), [("2026-03-28T21:00Z", "7 h"), ("2026-10-24T20:00Z", "9 h")])
def test_what_is_left_of_a_window_is_counted_in_real_hours(write: Write, night: str, left: str) -> None:
    write('{window: w, days: sat, from: "22:00", to: "06:00"}')
    assert windows.window_in_words(rule(), [3600.0], at(night)).count(f"{left} are left") == 1


def test_a_wait_of_weeks_is_ended_by_nothing_but_the_approval(write: Write) -> None:
    begin()
    write('{window: monthly, days: day 24, from: "22:00", to: "24:00"}')
    task = waiting()
    with pytest.raises(TaskDeferred) as caught:
        task.execute(context())
    assert (caught.value.timeout, task.execution_timeout) == (None, None)


def test_a_plan_keeps_its_wall_time_when_a_country_changes_its_rules() -> None:
    """British Columbia stays at UTC-7 from 2026 on; by the rules of before it was 06:00 UTC."""
    assert moments.moment_of("2026-12-01 22:00 America/Vancouver", "UTC").at == at("2026-12-02T05:00Z")


def test_the_approver_sees_what_happens_when_it_closes(write: Write, clock: Clock) -> None:
    keeps = rule(on_close=OnClose(policy="pause", limit=7200))
    said = windows.window_in_words(keeps, [], clock.now)
    assert "Waits for its window until Sat 28 Nov 2026 22:00 CET" in said
    assert "if it closes in mid-release the traffic stays as it is for at most 2 h, then it goes back" in said


@pytest.mark.parametrize(
    ("began", "ended", "over"),
    [
        ("2026-11-28T21:10Z", "2026-11-29T00:50Z", None),
        (
            "2026-11-28T23:50Z",
            "2026-11-29T01:12Z",
            "It ran 12 min over its window, which closed Sun 29 Nov 2026 02:00 CET",
        ),
        ("2026-11-28T23:50Z", "2026-12-05T21:30Z", None),  # it was held until the next one
    ],
)
def test_a_release_that_ran_over_its_window_says_how_far(
    write: Write, began: str, ended: str, over: str | None
) -> None:
    assert windows.ran_over(rule(), at(began), at(ended)) == over


def test_a_planned_release_waits_for_its_moment_in_an_open_window(write: Write, clock: Clock, asleep: Asleep) -> None:
    begin()
    clock.now = at("2026-11-28T21:10Z")
    trigger = deferred(waiting(start_at="2026-11-28 22:30 Europe/Berlin"))
    assert trigger.serialize()[1]["start_at"] == "2026-11-28 22:30 Europe/Berlin"

    async def run() -> list[Any]:
        return [it async for it in trigger.run()]

    assert asyncio.run(run())[0].payload["open"]
    assert clock.now == pytest.approx(at("2026-11-28T21:30Z"), abs=1)


def test_a_freeze_put_in_over_a_planned_moment_moves_the_release(write: Write, clock: Clock, asleep: Asleep) -> None:
    begin()
    clock.now = at("2026-11-28T21:30Z")
    write(SATURDAYS, "{freeze: stocktaking, from: 2026-11-28, to: 2026-11-29}")
    deferred(waiting(start_at="2026-11-28 22:30"))
    [told] = [it for it in HistoryHook().history().release(RELEASE).events if it.kind == "window"]
    assert told.sentence.startswith("Waits for its window until Sat 5 Dec 2026 22:00 CET")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-11-28 22:30 Europe/Berlin", None),
        ("2026-11-28 22:30", None),
        ("2026-11-28T21:30 UTC", None),
        ("2026-11-27 13:00 Europe/Berlin", "The next possible moment is Sat 28 Nov 2026 22:00 CET."),
        ("2026-11-28 21:59:59 Europe/Berlin", "The next possible moment is Sat 28 Nov 2026 22:00 CET."),
        ("2026-11-29 02:00 Europe/Berlin", "The next possible moment is Sat 5 Dec 2026 22:00 CET."),
        (
            "2026-11-21 22:30 Europe/Berlin",
            "Sat 21 Nov 2026 22:30 CET (+01:00): that has passed. The next possible moment is Sat 28 Nov 2026 22:00 CET.",
        ),
        (
            "2027-03-28 02:30 Europe/Berlin",
            "does not exist in Europe/Berlin: clocks go forward then. The next open moment after that is Sat 3 Apr 2027 22:00 CEST, "
            "and an approval of now holds until Thu 31 Dec 2026 13:00 CET (`approval.valid_for` is 35d).",
        ),
        (
            "2026-03-29 02:30 Europe/Berlin",
            "clocks go forward then, and that has passed. The next possible moment is Sat 28 Nov 2026 22:00 CET.",
        ),
        ("2026-11-27 07:00 America/New_York", "The next possible moment is Sat 28 Nov 2026 16:00 EST."),
        (
            "tomorrow",
            "It cannot be planned: a moment like `2026-11-28 22:30 Europe/Berlin` is expected, found `tomorrow`.",
        ),
        ("0001-01-01T00:00:00+14:00", "is expected, found `0001-01-01T00:00:00+14:00`."),
        ("2026-11-28T21:30:00Z UTC", "is expected, found `2026-11-28T21:30:00Z UTC`."),
        ("2026-11-28 22:30 Europe/Berlni", "did you mean `Europe/Berlin`?"),
        ("2026-11-28T22:30:00+01:00", None),
        ("2026-11-28T20:59:59Z", "The next possible moment is Sat 28 Nov 2026 22:00 CET."),
        (
            "2027-01-02 22:30 Europe/Berlin",
            "an approval of now holds until Thu 31 Dec 2026 13:00 CET (`approval.valid_for` is 35d).",
        ),
    ],
)
def test_a_plan_is_judged_by_its_own_moment(write: Write, clock: Clock, text: str, why: str | None) -> None:
    said = windows.obstacle_to_plan(rule(), text, 35 * 86400.0)
    assert said is None if why is None else (said or "").endswith(why), said


def test_of_a_time_that_clocks_show_twice_the_first_is_meant() -> None:
    found = moments.moment_of("2026-10-25 02:30 Europe/Berlin", "UTC")
    assert (found.at, found.words) == (
        at("2026-10-25T00:30Z"),
        "Sun 25 Oct 2026 02:30 CEST (+02:00), the first of two",
    )


def test_where_it_is_open_now_a_plan_that_has_passed_is_told_how_to_begin_now(write: Write, clock: Clock) -> None:
    clock.now = at("2026-11-28T21:30Z")
    said = windows.obstacle_to_plan(rule(), "2026-11-21 22:30 Europe/Berlin", 35 * 86400.0)
    assert (said or "").endswith("that has passed. The next possible moment is now: start it without a plan.")


def test_a_latest_start_that_is_still_to_come_is_no_past(write: Write, clock: Clock) -> None:
    said = windows.obstacle_to_plan(rule(latest_start=3600), "2026-11-29 01:30 Europe/Berlin", 35 * 86400.0)
    assert "the latest start is Sun 29 Nov 2026 01:00 CET (open: " in (said or "")
    assert (said or "").endswith("The next possible moment is Sat 5 Dec 2026 22:00 CET.")


def test_the_second_of_two_equal_times_is_meant_by_its_offset() -> None:
    found = moments.moment_of("2026-10-25T02:30:00+01:00", "Europe/Berlin")
    assert (found.at, found.words) == (at("2026-10-25T01:30Z"), "Sun 25 Oct 2026 02:30 CET (+01:00)")
    assert moments.moment_of(found.text, "Europe/Berlin").at == found.at
