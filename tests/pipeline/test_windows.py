"""Whole releases that keep to calendars (R19)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from release_pipelines.airflow import windows
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.features.window import triggers
from tests.fakes import GOOD, NEW
from tests.pipeline.conftest import Releases, moves

KEEPS = "calendars: [freezes]\n"
Freeze = Callable[..., None]


@pytest.fixture
def freeze(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Freeze:
    """Puts a freeze into the calendar, or lifts it."""
    folder = tmp_path / "calendars"
    folder.mkdir()
    monkeypatch.setenv("RELEASE_PIPELINES_CALENDARS", str(folder))
    monkeypatch.setattr(triggers, "LOOK_SECONDS", 0.05)

    def put(on: bool = True, until: timedelta = timedelta(days=2)) -> None:
        now = datetime.now(timezone.utc)
        start, end = (it.strftime("%Y-%m-%d") for it in (now - timedelta(days=2), now + until))
        entry = (
            f"- {{freeze: stocktaking, from: {start}, to: {end}}}"
            if on
            else "- {freeze: old, from: 2020-01-01, to: 2020-01-02}"
        )
        new = folder / "freezes.new"
        new.write_text(f"time_zone: UTC\nentries:\n{entry}\n")
        new.rename(folder / "freezes.yaml")

    put(on=False)
    return put


@pytest.mark.parametrize("releases", [KEEPS], indirect=True)
def test_a_release_in_an_open_window_goes_as_ever(releases: Releases, freeze: Freeze) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("success", "released"), done.sentence
    assert done.sentence == "Released 1.1.0: it serves all traffic in production and held."
    assert done.states["window"] == "success"
    assert moves(releases.production) == [10, 50, 100, 50, 0]


def test_a_release_without_calendars_has_no_task_for_them(releases: Releases) -> None:
    assert "window" not in releases.dag.task_ids


@pytest.mark.parametrize("releases", [KEEPS], indirect=True)
def test_a_release_waits_until_a_freeze_is_lifted(releases: Releases, freeze: Freeze) -> None:
    releases.runs("1.0.0")
    freeze()

    def lift() -> None:
        history = HistoryHook().history()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            known = history.releases("shop")
            events = history.release(known[0].id).events if known else []
            if any(it.kind == "window" for it in events):
                assert not releases.production.writes
                return freeze(on=False)
            threading.Event().wait(0.05)

    thread = threading.Thread(target=lift)
    thread.start()
    done = releases.release("1.1.0")
    thread.join()
    assert done.outcome == "released", done.sentence
    said = [
        it.sentence for it in HistoryHook().history().release(HistoryHook().history().releases("shop")[0].id).events
    ]
    assert any(it.startswith("Waits for its window until") and "stocktaking" in it for it in said)
    assert any(it.startswith("It may begin: open") for it in said)


@pytest.mark.parametrize("releases", [KEEPS + "when_closed: refuse\n"], indirect=True)
def test_where_an_app_does_not_wait_it_is_refused_before_anything_is_changed(
    releases: Releases, freeze: Freeze
) -> None:
    releases.runs("1.0.0")
    freeze()
    done = releases.release("1.1.0")
    assert done.outcome == "failed"
    assert 'closed: freeze "stocktaking" of calendar freezes until' in done.sentence
    assert not releases.staging.writes
    assert not releases.production.writes


@pytest.mark.parametrize("releases", [KEEPS + "on_close: rollback\n"], indirect=True)
def test_a_freeze_that_is_put_in_in_mid_release_takes_the_traffic_back_and_blames_nobody(
    releases: Releases, freeze: Freeze
) -> None:
    releases.runs("1.0.0")
    releases.when(lambda world: world.weight == 50, freeze)
    done = releases.release("1.1.0")
    assert done.outcome == "rolled_back", done.sentence
    assert done.sentence.startswith('Rolled back 1.1.0 at 50 %: its window has closed (closed: freeze "stocktaking"')
    assert releases.production.tracks["stable"].digest == GOOD
    marks = [it for known in HistoryHook().history().stability("shop") if known.digest == NEW for it in known.marks]
    assert not marks, "that its window closed does not speak against a version"


@pytest.mark.parametrize("releases", [KEEPS], indirect=True)
def test_a_release_that_finishes_after_its_window_closed_says_so(releases: Releases, freeze: Freeze) -> None:
    releases.runs("1.0.0")
    releases.when(lambda world: world.weight == 50, freeze)
    done = releases.release("1.1.0")
    assert done.outcome == "released", done.sentence
    assert releases.production.tracks["stable"].digest == NEW


@pytest.mark.parametrize("releases", [KEEPS], indirect=True)
def test_a_persons_rollback_never_asks_a_calendar(releases: Releases, freeze: Freeze) -> None:
    releases.runs("1.0.0")
    assert releases.release("1.1.0").outcome == "released"
    freeze()
    back = releases.roll_back(app="shop", version="1.0.0", reason="slow", requested_by="alice")
    assert back.state == "success"
    assert releases.production.tracks["stable"].digest == GOOD


@pytest.mark.parametrize("releases", [KEEPS + "when_closed: refuse\non_close: rollback\n"], indirect=True)
def test_an_urgent_release_goes_through_with_a_second_approver_and_says_so(releases: Releases, freeze: Freeze) -> None:
    releases.runs("1.0.0")
    freeze()
    done = releases.release("1.1.0", urgent_reason="the shop is down")
    assert done.outcome == "released", done.sentence
    assert (
        'It did not keep to its calendars (shop may not be changed in production now (closed: freeze "stocktaking"'
        in done.sentence
    )
    assert "because: the shop is down; approved by bob and carol." in done.sentence
    assert moves(releases.production) == [10, 50, 100, 50, 0]


@pytest.mark.parametrize("releases", [KEEPS], indirect=True)
def test_an_urgent_release_in_an_open_window_needs_no_second_approver(releases: Releases, freeze: Freeze) -> None:
    releases.runs("1.0.0")
    releases.second = "nobody"
    done = releases.release("1.1.0", urgent_reason="the shop is down")
    assert done.sentence == "Released 1.1.0: it serves all traffic in production and held."


@pytest.mark.parametrize("releases", [KEEPS + "when_closed: refuse\n"], indirect=True)
def test_a_release_may_be_planned_for_after_a_freeze_and_only_one_for_a_window(
    releases: Releases, freeze: Freeze
) -> None:
    releases.runs("1.0.0")
    freeze(until=timedelta(days=-1, hours=-1))
    history = HistoryHook().history()
    other = "release_shop/planned#0"
    history.begin(other, "shop", "release_shop", "planned", "1.2.0", "alice")
    soon = (datetime.now(timezone.utc) + timedelta(days=3)).strftime("%Y-%m-%d %H:%M UTC")
    history.record_event(other, "planned", "Planned.", "production", {"start_at": soon})
    done = releases.release("1.1.0", start_at=soon)
    assert done.outcome == "failed"
    assert "1.2.0 of shop is planned for the same window, for" in done.sentence
    history.finish(other, "aborted", "Aborted.")


@pytest.mark.parametrize("releases", [KEEPS], indirect=True)
def test_a_planned_release_begins_at_its_moment(
    releases: Releases, freeze: Freeze, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its moment may have passed before a busy machine has got to preflight, which would refuse it.
    monkeypatch.setattr(windows, "obstacle_to_plan", lambda *_: None)
    releases.runs("1.0.0")
    moment = datetime.now(timezone.utc) + timedelta(seconds=12)
    began: list[float] = []
    releases.when(lambda world: bool(world.writes), lambda: began.append(time.time()))
    done = releases.release("1.1.0", start_at=moment.strftime("%Y-%m-%d %H:%M:%S UTC"))
    assert done.outcome == "released", done.sentence
    assert began[0] >= int(moment.timestamp())
