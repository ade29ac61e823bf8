"""`release schedule` and `release unschedule`: Airflow's REST API is a small server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from release_pipelines.adapters.history.store import History
from release_pipelines.cli import app
from tests.cli.test_steering import PRODUCTION, begins, history, taken_up  # noqa: F401 - a fixture

NOW = datetime(2026, 11, 26, 12, tzinfo=timezone.utc).timestamp()
CALENDAR = """
time_zone: Europe/Berlin
entries:
- {window: saturdays, days: sat, from: "22:00", to: "02:00"}
- {freeze: stocktaking, from: 2026-11-26, to: 2026-11-27}
"""
RUNS = "/api/v2/dags/release_shop/dagRuns"
FIRST = "planned-1.4.0-20261128T213000Z"
AT = ["--at", "2026-11-28 22:30 Europe/Berlin"]


class Airflow:
    """Runs that were asked for, by their ids, and what preflight says."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str, Any]] = []
        self.preflight: str | None = "success"
        self.reason = "1.3.0 of shop is planned for the same window."
        self.status = 200
        self.detail = "no"
        airflow = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                airflow.asked.append(("POST", self.path, body))
                if self.path == "/auth/token":
                    known = body == {"username": "ci", "password": "pw"}
                    return self.answer(201 if known else 401, {"access_token": "t1"} if known else {})
                if airflow.status != 200:
                    return self.answer(airflow.status, {"detail": airflow.detail})
                if body["dag_run_id"] in airflow.runs:
                    return self.answer(409, {"detail": "is there"})
                airflow.runs[body["dag_run_id"]] = {**body, "state": "running"}
                return self.answer(200, airflow.runs[body["dag_run_id"]])

            def do_GET(self) -> None:
                airflow.asked.append(("GET", self.path, None))
                if "/xcomEntries/reason" in self.path:
                    self.answer(200, {"value": airflow.reason})
                elif self.path.endswith("/taskInstances/preflight"):
                    self.answer(200, {"state": airflow.preflight})
                else:
                    run = airflow.runs.get(self.path.removeprefix(f"{RUNS}/"))
                    self.answer(200 if run else 404, run or {})

            def answer(self, status: int, content: Any) -> None:
                if self.path != "/auth/token" and self.headers.get("Authorization") != "Bearer t1":
                    status, content = 401, {}
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, history: History) -> Iterator[Airflow]:  # noqa: F811
    """A project whose app shop keeps to a calendar, and its Airflow."""
    include = tmp_path / "include"
    (include / "calendars").mkdir()
    (include / "calendars" / "eu.yaml").write_text(CALENDAR)
    (include / "config" / "production.yaml").write_text(f"{PRODUCTION}time_zone: Europe/Berlin\n")
    (include / "apps" / "shop.yaml").write_text("name: shop\nenvironments: [production]\ncalendars: [eu]\n")
    monkeypatch.delenv("RELEASE_PIPELINES_CALENDARS", raising=False)
    monkeypatch.setattr("time.time", lambda: NOW)
    it = Airflow()
    monkeypatch.setenv("AIRFLOW_URL", it.url)
    monkeypatch.setenv("AIRFLOW_TOKEN", "t1")
    thread = threading.Thread(target=it.server.serve_forever)
    thread.start()
    yield it
    it.server.shutdown()
    thread.join()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_a_release_is_planned_for_a_moment(airflow: Airflow) -> None:
    done = run("schedule", "shop", "1.4.0", *AT, "--notes", "sale", "--requested-by", "ann")
    assert done.stdout == (
        f"shop 1.4.0 is planned for Sat 28 Nov 2026 22:30 CET (+01:00) in production: run {FIRST} of release_shop.\n"
    )
    [asked] = [body for method, path, body in airflow.asked if (method, path) == ("POST", RUNS)]
    start = "2026-11-28 22:30 Europe/Berlin"
    conf = {"version": "1.4.0", "start_at": start, "notes": "sale", "requested_by": "ann"}
    assert asked == {"dag_run_id": FIRST, "logical_date": None, "conf": conf}


def test_the_same_command_twice_is_one_plan(airflow: Airflow) -> None:
    for words in ("is planned for", "is planned already for"):
        done = run("schedule", "shop", "1.4.0", "--at", "2026-11-28 22:30")
        assert (done.exit_code, f"1.4.0 {words} Sat 28 Nov 2026 22:30 CET" in done.stdout) == (0, True)
    assert list(airflow.runs) == [FIRST]
    assert airflow.runs[FIRST]["conf"]["start_at"] == "2026-11-28 22:30 Europe/Berlin"


def test_what_was_taken_back_can_be_planned_again(airflow: Airflow) -> None:
    run("schedule", "shop", "1.4.0", *AT)
    airflow.runs[FIRST]["state"] = "failed"
    assert run("schedule", "shop", "1.4.0", *AT).exit_code == 0
    assert run("schedule", "shop", "1.4.0", *AT).exit_code == 0
    assert list(airflow.runs) == [FIRST, f"{FIRST}-2"]


def test_the_next_window_is_the_next_one_that_opens(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    done = json.loads(run("schedule", "shop", "1.4.0", "--next-window", "--json").stdout)
    assert done["start_at"] == "2026-11-28 22:00 Europe/Berlin"
    assert (done["begins_at"], done["state"], done["new"]) == ("2026-11-28T21:00:00.000+00:00", "planned", True)
    monkeypatch.setattr("time.time", lambda: datetime(2026, 11, 28, 23, tzinfo=timezone.utc).timestamp())
    done = json.loads(run("schedule", "shop", "1.4.0", "--next-window", "--json").stdout)
    assert done["start_at"] == "2026-12-05 22:00 Europe/Berlin"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            ["--at", "2026-11-27 13:00 Europe/Berlin"],
            'on Fri 27 Nov 2026 13:00 CET (+01:00) (closed: freeze "stocktaking" of calendar eu until '
            "Sat 28 Nov 2026 22:00 CET). The next possible moment is Sat 28 Nov 2026 22:00 CET.\n",
        ),
        (["--at", "2026-11-21 22:30"], "that has passed. The next possible moment is Sat 28 Nov 2026 22:00 CET.\n"),
        (["--at", "2027-03-28 02:30"], "does not exist in Europe/Berlin: clocks go forward then. The next open moment"),
        (["--at", "2026-11-28 22:30 Europe/Berln"], "did you mean `Europe/Berlin`?"),
        (["--at", "2027-01-02 22:30"], "an approval of now holds until Thu 31 Dec 2026 13:00 CET"),
        ([], "One of --at and --next-window is expected.\n"),
        ([*AT, "--next-window"], "One of --at and --next-window is expected.\n"),
    ],
)
def test_what_cannot_be_planned_is_refused_at_once(airflow: Airflow, arguments: list[str], why: str) -> None:
    done = run("schedule", "shop", "1.4.0", *arguments)
    assert done.exit_code == 1
    assert why in done.stderr
    assert airflow.asked == []


def test_a_version_that_is_none_and_an_app_that_is_none_are_sentences(airflow: Airflow) -> None:
    assert "Version `next`" in run("schedule", "shop", "next", *AT).stderr
    assert "There is no app cart" in run("schedule", "cart", "1.4.0", *AT).stderr


def test_of_a_time_that_clocks_show_twice_the_first_is_meant_and_said(
    airflow: Airflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "include" / "calendars" / "eu.yaml").write_text("entries:\n- {window: w, days: daily}\n")
    monkeypatch.setattr("time.time", lambda: datetime(2026, 10, 20, tzinfo=timezone.utc).timestamp())
    done = run("schedule", "shop", "1.4.0", "--at", "2026-10-25 02:30 Europe/Berlin")
    assert "for Sun 25 Oct 2026 02:30 CEST (+02:00), the first of two in production" in done.stdout
    assert list(airflow.runs) == ["planned-1.4.0-20261025T003000Z"]


def test_what_preflight_refuses_is_told(airflow: Airflow) -> None:
    airflow.preflight = "failed"
    done = run("schedule", "shop", "1.4.0", *AT)
    assert (done.exit_code, done.stderr) == (1, f"shop 1.4.0 is not planned: {airflow.reason}\n")


def test_what_is_not_checked_in_time_is_no_success(airflow: Airflow) -> None:
    airflow.preflight = None
    done = run("schedule", "shop", "1.4.0", *AT, "--wait", "0s")
    assert done.exit_code == 1
    assert "asked for, and not checked yet (running, preflight: not begun)" in done.stderr


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (404, "Airflow has no DAG release_shop, or this account may not see it."),
        (400, "Airflow does not take it (status 400): no"),
        (403, "does not let this account do that (status 403)."),
        (503, "answers with status 503."),
    ],
)
def test_what_airflow_says_no_to_is_a_sentence(airflow: Airflow, status: int, why: str) -> None:
    airflow.status = status
    done = run("schedule", "shop", "1.4.0", *AT)
    assert (done.exit_code, why in done.stderr) == (1, True)


def test_a_user_gets_a_token_and_a_wrong_password_is_shown_nowhere(
    airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_TOKEN")
    monkeypatch.setenv("AIRFLOW_USER", "ci")
    monkeypatch.setenv("AIRFLOW_PASSWORD", "pw")
    assert run("schedule", "shop", "1.4.0", *AT).exit_code == 0
    monkeypatch.setenv("AIRFLOW_PASSWORD", "s3cret")
    done = run("schedule", "shop", "1.4.0", *AT)
    assert "does not take this login: the user or the password is wrong (status 401)." in done.stderr
    assert "s3cret" not in done.output


def test_the_connection_with_which_runs_get_their_notes_serves_too(
    airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_URL")
    given = {"conn_type": "http", "host": airflow.url, "login": "ci", "password": "pw"}
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", json.dumps(given))
    assert run("schedule", "shop", "1.4.0", *AT).exit_code == 0
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", "{")
    assert "AIRFLOW_CONN_AIRFLOW_API cannot be read" in run("schedule", "shop", "1.4.0", *AT).stderr


def test_where_airflow_is_not_known_or_away_it_is_said(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_URL", "http://127.0.0.1:1")
    assert run("schedule", "shop", "1.4.0", *AT).stderr == "Airflow at 127.0.0.1:1 cannot be reached.\n"
    monkeypatch.delenv("AIRFLOW_TOKEN")
    assert "Airflow does not know who asks" in run("schedule", "shop", "1.4.0", *AT).stderr
    monkeypatch.delenv("AIRFLOW_URL")
    monkeypatch.setattr("release_pipelines.cli.api.airflows_connection", lambda name: None)
    assert "It is not known where Airflow is" in run("schedule", "shop", "1.4.0", *AT).stderr


def test_a_token_that_is_not_known_is_another_thing_than_a_right_that_is_missing(
    airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_TOKEN", "s3cret")
    done = run("schedule", "shop", "1.4.0", *AT)
    where = airflow.url.removeprefix("http://")
    assert done.stderr == f"Airflow at {where} does not know this token: it is wrong, or has expired (status 401).\n"


def test_a_time_with_an_offset_is_kept_as_that_instant(airflow: Airflow) -> None:
    for at in ("2026-11-28T21:30:00Z", "2026-11-28T22:30:00+01:00", "2026-11-28 21:30z", "2026-11-28 22:30 +01:00"):
        done = run("schedule", "shop", "1.4.0", "--at", at)
        assert "for Sat 28 Nov 2026 22:30 CET (+01:00) in production" in done.stdout
    assert [(name, it["conf"]["start_at"]) for name, it in airflow.runs.items()] == [(FIRST, "2026-11-28 21:30 UTC")]


def test_windows_that_are_too_short_for_the_latest_start_are_no_next_ones(airflow: Airflow, tmp_path: Path) -> None:
    app_file = tmp_path / "include" / "apps" / "shop.yaml"
    app_file.write_text("name: shop\nenvironments: [production]\ncalendars: [eu]\nlatest_start: 9d\n")
    short = "none of the next windows is as long as `latest_start` (9d).\n"
    assert run("schedule", "shop", "1.4.0", "--next-window").stderr == f"shop has no next window in production: {short}"
    said = run("schedule", "shop", "1.4.0", *AT).stderr
    assert "the latest start was Fri 20 Nov 2026 02:00 CET (open: " in said
    assert said.endswith(f"There is no next possible moment: {short}")


def test_where_no_other_window_is_known_that_is_said(airflow: Airflow, tmp_path: Path) -> None:
    (tmp_path / "include" / "calendars" / "eu.yaml").write_text("entries:\n- {window: always, days: daily}\n")
    said = run("schedule", "shop", "1.4.0", "--next-window").stderr
    assert said.startswith("shop has no next window in production: no later opening is known (open: ")


def test_an_app_without_calendars_cannot_be_planned(airflow: Airflow, tmp_path: Path) -> None:
    (tmp_path / "include" / "apps" / "shop.yaml").write_text("name: shop\nenvironments: [production]\n")
    assert "shop names no `calendars`, nor does production" in run("schedule", "shop", "1.4.0", *AT).stderr


def planned(known: History, name: str, version: str, start: str) -> str:
    release = begins(known, name, version)
    known.plan(release, "production", start, lambda _: False)
    return release


def test_what_is_planned_is_listed_here_and_with_the_calendars(airflow: Airflow, history: History) -> None:  # noqa: F811
    assert run("schedule").stdout == "No release is planned.\n"
    release = planned(history, "p", "1.4.0", "2026-11-28 22:30 Europe/Berlin")
    assert (
        "2026-11-28 22:30 Europe/Berlin  shop  1.4.0    production   ann        release_shop/p#0"
        in run("schedule").stdout
    )
    [plan] = json.loads(run("schedule", "shop", "--json").stdout)
    assert plan["release"] == release
    assert json.loads(run("calendar", "shop", "--json").stdout)["planned"] == [plan]
    said = run("calendar").stdout
    assert "Planned: shop 1.4.0 in production for 2026-11-28 22:30 Europe/Berlin (release_shop/p#0)." in said


def test_a_plan_is_taken_back_at_once(airflow: Airflow, history: History) -> None:  # noqa: F811
    release = planned(history, "p", "1.4.0", "2026-11-28 22:30 Europe/Berlin")
    with taken_up(history, "Ended the wait; nothing was changed."):
        done = run("unschedule", "shop", "--by", "ann", "--wait", "30s")
    assert (done.exit_code, done.stdout) == (0, "shop 1.4.0: Ended the wait; nothing was changed.\n")
    [command] = history.commands(release)
    assert (command.kind, command.by) == ("abort", "ann")
    assert command.reason == "its plan for 2026-11-28 22:30 Europe/Berlin was taken back"


def test_what_has_begun_is_not_taken_back_and_of_several_one_is_named(airflow: Airflow, history: History) -> None:  # noqa: F811
    assert "shop: nothing is planned that has not begun" in run("unschedule", "shop").stderr
    one = planned(history, "p", "1.4.0", "2026-11-28 22:30 Europe/Berlin")
    two = planned(history, "q", "1.5.0", "2026-12-05 22:30 Europe/Berlin")
    failed = run("unschedule", "shop")
    assert failed.exit_code == 1
    assert f"1.4.0 for 2026-11-28 22:30 Europe/Berlin ({one}) and 1.5.0" in failed.stderr
    with taken_up(history, "Ended the wait; nothing was changed."):
        assert run("unschedule", two, "--wait", "30s").exit_code == 0
    history.record_event(one, "deployed", "Deployed.", "production")
    assert f"{one}: nothing is planned that has not begun" in run("unschedule", one).stderr
    assert history.commands(one) == []


@pytest.mark.parametrize("command", ["schedule", "unschedule"])
def test_an_app_that_nobody_knows_is_no_app_without_plans(airflow: Airflow, command: str) -> None:
    failed = run(command, "shpo")
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr.startswith("No app shpo is known: ")
    assert failed.stderr.endswith(" Did you mean shop?\n")


def test_how_long_is_waited_is_checked_before_anything_else(airflow: Airflow) -> None:
    assert run("unschedule", "shop", "--wait", "soon").stderr == "--wait: found `soon`, expected a time like 5s.\n"


def test_an_apps_tags_count_and_windows_that_are_too_short_are_said(
    airflow: Airflow,
    history: History,  # noqa: F811
    tmp_path: Path,
) -> None:
    calendars = tmp_path / "include" / "calendars"
    (calendars / "eu.yaml").write_text(
        'entries:\n- {window: short, days: daily, from: "12:00", to: "12:30", tags: [web]}\n'
        '- {window: cart, days: daily, from: "12:10", to: "18:00", tags: [web], apps: cart}\n'
    )
    app_file = tmp_path / "include" / "apps" / "shop.yaml"
    app_file.write_text("name: shop\nenvironments: [production]\ncalendars: [eu]\ntags: [web]\n")
    found = json.loads(run("calendar", "shop", "--json").stdout)
    assert [it["concerns"] for it in found["calendars"][0]["entries"]] == [True, False]
    unknown = "eu: whether a release fits into its windows is unknown: none has come to a good end here yet"
    assert unknown in found["remarks"]
    for n, minutes in enumerate((48, 61)):
        release = begins(history.at(NOW), f"r{n}", f"1.{n}.0")
        history.at(NOW).record_event(release, "deployed", "Deployed.", "production")
        history.at(NOW + 60 * minutes).finish(release, "released", "Released.")
    words = 'eu: "short" is 30 min long, and the last releases took 48 min to 1 h 1 min'
    assert words in json.loads(run("calendar", "shop", "--json").stdout)["remarks"]
    checked = run("validate")
    assert checked.stdout == "1 app file, 2 environment files, 1 calendar, no mistakes.\n"
    assert f"Warning: shop in production: {words}.\n" in checked.stderr
