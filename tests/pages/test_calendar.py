"""The calendar: days of the viewer's zone, windows and freezes, plans, trains, and what was released."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from release_pipelines.adapters.history import History
from release_pipelines.core.model.train import TrainApp
from tests.pages.conftest import PREFIX, Client

CONFIG = 'platform: container_host\nconnections: {platform: h, registry: r, prometheus: p}\naddress: {url: "http://127.0.0.1:8000"}\napprovers: [bob]\n'
WEEKENDS = """
time_zone: Europe/Berlin
entries:
- {window: weekend, days: sat, from: "22:00", to: "06:00"}
- {freeze: audit, reason: the auditors are here, from: 2026-10-20, to: 2026-10-21, apps: [shop, covert]}
- {freeze: covert-freeze, reason: covert-reason, from: 2026-10-22, to: 2026-10-23, apps: covert}
- {freeze: secret-tag, reason: covert-too, from: 2026-10-22, to: 2026-10-23, tags: payments}
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The apps `shop`, which keeps to the calendar `weekends` in Berlin, and `covert`, which keeps to `theirs`, too."""
    for name in ("apps", "config", "calendars", "trains"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"RELEASE_PIPELINES_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    (tmp_path / "config/base.yaml").write_text(CONFIG)
    (tmp_path / "config/staging.yaml").write_text("name: staging\n")
    (tmp_path / "config/production.yaml").write_text("name: production\ntime_zone: Europe/Berlin\n")
    (tmp_path / "apps/shop.yaml").write_text("name: shop\nowner: shop-team\ncalendars: [weekends]\n")
    (tmp_path / "apps/covert.yaml").write_text(
        "name: covert\nowner: covert-team\ncalendars: [weekends, theirs]\ntags: [payments]\n"
    )
    (tmp_path / "calendars/weekends.yaml").write_text(WEEKENDS)
    (tmp_path / "calendars/theirs.yaml").write_text(
        "entries:\n- {window: covert-window, days: daily, from: '01:00', to: '02:00'}\n"
    )
    return tmp_path


@pytest.fixture
def released(history: History) -> Callable[..., str]:
    """A release that reached all traffic at a time."""

    def add(number: str, text: str, app: str = "shop", outcome: str = "released", dag: str = "") -> str:
        at = datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()
        dag_id = dag or f"release_{app}"
        history._now = lambda: at - 60  # type: ignore[method-assign]
        release = f"{dag_id}/{number}#0"
        history.begin(release, app, dag_id, number, f"1.{number}.0", f"{app}-asker")
        history.record_event(release, "traffic", "s", "production", {"step": "s", "weight": 100, "at": at})
        history._now = lambda: at + 60  # type: ignore[method-assign]
        history.finish(release, outcome, ".")  # type: ignore[arg-type]
        return release

    return add


def days(page: str) -> dict[str, str]:
    """The text of each day of a month, by its date."""
    cells = re.findall(r'<td class="[^"]*"[^>]*>(.*?)</td>', page, re.DOTALL)
    found = {}
    for cell in cells:
        if day := re.search(r'<time datetime="([^"]+)">', cell):
            found[day[1]] = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", cell.split("</time>", 1)[1])).strip()
    return found


INSTANTS = {
    "1": ("2026-03-28T23:30:00", ("28 Mar", "29 Mar", "29 Mar", "28 Mar")),
    "2": ("2026-03-29T00:59:59", ("29 Mar", "29 Mar", "29 Mar", "28 Mar")),
    "3": ("2026-03-29T22:30:00", ("29 Mar", "30 Mar", "30 Mar", "29 Mar")),
    "4": ("2026-04-01T02:00:00", ("1 Apr", "1 Apr", "1 Apr", "31 Mar")),
}
ZONES = ("UTC", "Europe/Berlin", "Asia/Tokyo", "America/Los_Angeles")


@pytest.mark.parametrize("n", range(4))
def test_a_release_stands_on_the_viewers_day(as_: Client, released: Callable[..., str], n: int) -> None:
    for number, (instant, _) in INSTANTS.items():
        released(number, instant)
    alice = as_("alice", read={"release_shop"})
    for number, (_, on) in INSTANTS.items():
        day = datetime.strptime(f"{on[n]} 2026", "%d %b %Y")
        page = alice.get(f"{PREFIX}/calendar?view=month&at={day:%Y-%m}&zone={ZONES[n]}").text
        found = [date for date, text in days(page).items() if f"shop 1.{number}.0" in text]
        assert found == [f"{day:%Y-%m-%d}"], number
        week = alice.get(f"{PREFIX}/calendar?view=week&at={day:%Y-%m-%d}&zone={ZONES[n]}").text
        section = week[week.index(f'id="day-{day:%Y-%m-%d}"') :].partition("</section>")[0]
        assert f"shop 1.{number}.0" in section


@pytest.mark.parametrize(
    ("zone", "day", "clock"),
    [
        ("Europe/Berlin", "2026-10-24", "22:00 CEST – Sun 25 Oct 06:00 CET (9 h)"),  # noqa: RUF001
        ("Asia/Tokyo", "2026-10-25", "05:00–14:00 JST (9 h)"),  # noqa: RUF001
    ],
)
def test_a_window_over_the_change_of_clocks_has_its_nine_hours(
    as_: Client, history: History, zone: str, day: str, clock: str
) -> None:
    page = as_("alice", read={"release_shop"}).get(f"{PREFIX}/calendar?at=2026-10&zone={zone}").text
    assert clock in days(page)[day]
    beside = "Sat 24 Oct 22:00 CEST – Sun 25 Oct 06:00 CET (9 h) in Europe/Berlin"  # noqa: RUF001
    assert (beside in page) == (zone != "Europe/Berlin")
    if zone == "Europe/Berlin":
        assert "until 06:00 CET" in days(page)["2026-10-25"]


def test_freezes_have_their_reason_and_scope_on_each_of_their_days(as_: Client, history: History) -> None:
    page = as_("alice", read={"release_shop"}).get(f"{PREFIX}/calendar?at=2026-10&zone=Europe/Berlin").text
    for day in ("2026-10-20", "2026-10-21"):
        assert "freeze all day audit" in days(page)[day]
        assert "the auditors are here; only shop, 1 app that you may not see; calendar weekends" in days(page)[day]


def test_what_concerns_only_others_is_in_no_byte(
    as_: Client, history: History, released: Callable[..., str], project: Path
) -> None:
    released("1", "2026-10-20T10:00:00", "covert")
    released("2", "2026-10-20T11:00:00", "covert", "rolled_back", "release_rollback")
    history._now = lambda: 0.0  # type: ignore[method-assign]
    history.begin("release_covert/p#0", "covert", "release_covert", "p", "7.7.7", "covert-asker")
    history.plan("release_covert/p#0", "production", "2026-10-24 23:00 Europe/Berlin", lambda _: False)
    (project / "config/covert-place.yaml").write_text("name: covert-place\n")
    file = project / "apps/covert.yaml"
    file.write_text(file.read_text() + "environments: [staging, covert-place]\n")
    alice = as_("alice", read={"release_shop", "release_rollback"})
    for query in ("", "&view=week", "&app=covert", "&environment=covert-place", "&app=nothing"):
        page = alice.get(f"{PREFIX}/calendar?at=2026-10-20&zone=Asia/Tokyo{query}")
        assert page.status_code == 200
        text = page.text
        for word in ("covert", "theirs", "secret-tag", "payments", "7.7.7"):
            assert word not in text, (query, word)
    bob = as_("bob", read={"*"}).get(f"{PREFIX}/calendar?at=2026-10&zone=Europe/Berlin").text
    for word in ("covert-reason", "covert-window", "secret-tag", "7.7.7", "1.2.0"):
        assert word in bob, word


def test_a_train_shows_the_apps_that_its_reader_may_see_and_counts_the_others(as_: Client, history: History) -> None:
    at = datetime(2026, 10, 21, 9, tzinfo=timezone.utc).timestamp()
    history._now = lambda: at  # type: ignore[method-assign]
    history.begin("train_web/t#0", "train_web", "train_web", "t", "unknown", "dave")
    apps = [
        TrainApp(app=name, environment="production", wave=1, version="2.0.0", digest="d", image="i")
        for name in ("shop", "covert")
    ]
    history.plan_train("train_web/t#0", "shop 2.0.0, covert 2.0.0", apps)
    page = as_("alice", read={"release_shop"}).get(f"{PREFIX}/calendar?at=2026-10").text
    assert "shop 2.0.0: not started" in days(page)["2026-10-21"]
    assert "1 app that you may not see" in days(page)["2026-10-21"]
    assert "covert" not in page
    assert f"{PREFIX}/runs/train_web" not in page
    assert "train_web" not in as_("carol", read={"release_cart"}).get(f"{PREFIX}/calendar?at=2026-10").text


def test_a_train_with_a_schedule_stands_where_its_calendars_open_next(
    as_: Client, history: History, project: Path
) -> None:
    (project / "trains/web.yaml").write_text("name: web\nwaves: [[shop], [covert]]\nschedule: [weekends]\n")
    month = datetime.now(timezone.utc) + timedelta(days=45)
    asked = f"{PREFIX}/calendar?at={month:%Y-%m}&zone=Europe/Berlin"
    found = {
        day: text
        for day, text in days(as_("alice", read={"release_shop"}).get(asked).text).items()
        if "train_web" in text
    }
    assert {datetime.fromisoformat(it).weekday() for it in found} == {5}
    for text in found.values():
        for words in ("22:00 CE", "scheduled", "shop 1 app that you may not see"):
            assert words in text
    assert "train_web" not in as_("carol", read={"release_cart"}).get(asked).text


def test_a_plan_stands_at_its_moment_with_the_clocks_of_its_environment_beside(as_: Client, history: History) -> None:
    history.begin("release_shop/p#0", "shop", "release_shop", "p", "3.0.0", "dave")
    history.plan("release_shop/p#0", "production", "2026-10-24 23:00 Europe/Berlin", lambda _: False)
    page = as_("alice", read={"release_shop"}).get(f"{PREFIX}/calendar?at=2026-10&zone=Asia/Tokyo").text
    day = days(page)["2026-10-25"]
    assert "06:00 JST" in day
    assert "shop 3.0.0" in day
    assert "Sat 24 Oct 23:00 CEST in Europe/Berlin" in day
    assert "asked for by dave" in day


def test_an_app_is_told_whether_it_may_begin_now(as_: Client, history: History) -> None:
    page = as_("alice", read={"release_shop"}).get(f"{PREFIX}/calendar?app=shop").text
    assert re.search(r"shop (may be changed in production now|.*closed)", page)


def test_a_calendar_that_was_not_fetched_is_unknown_and_says_so(
    as_: Client, history: History, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from release_pipelines.airflow import copies

    monkeypatch.setattr(copies, "_COPIES", copies.Copies())
    (project / "calendars/weekends.yaml").write_text("ics: https://calendars.example/private-token/basic.ics\n")
    (project / "calendars/broken.yaml").write_text("entries: [{window: w}]\n")
    page = as_("alice", read={"release_shop"}).get(f"{PREFIX}/calendar?at=2026-10").text
    assert "weekends is unknown and counts as closed: it has not been fetched yet" in page
    assert "broken is unknown and counts as closed" in page
    assert "private-token" not in page


@pytest.mark.parametrize("mistake", ["nonsense: 1\n", "environments: [staging, nowhere]\n", "][\n"])
def test_a_mistake_in_the_file_of_others_shows_nothing_of_theirs(
    as_: Client, history: History, project: Path, mistake: str
) -> None:
    file = project / "apps/covert.yaml"
    file.write_text(file.read_text() + mistake)
    page = as_("alice", read={"release_shop"}).get(f"{PREFIX}/calendar?at=2026-10").text
    for word in ("covert", "theirs", "secret-tag"):
        assert word not in page


def test_runs_that_changed_nothing_are_left_out_and_others_say_what_became_of_them(
    as_: Client, released: Callable[..., str]
) -> None:
    for number, outcome in enumerate(("no_op", "rejected", "expired", "rolled_back", "failed", "superseded")):
        released(str(number), f"2026-10-2{number}T10:00:00", outcome=outcome)
    found = days(as_("alice", read={"*"}).get(f"{PREFIX}/calendar?at=2026-10").text)
    assert [day for day, text in found.items() if "shop 1." in text] == ["2026-10-23", "2026-10-24", "2026-10-25"]
    assert "rolled back" in found["2026-10-23"]


def test_a_full_day_leads_to_its_week(as_: Client, released: Callable[..., str]) -> None:
    for number in range(12):
        released(str(number), f"2026-10-06T{number + 4:02}:00:00")
    alice = as_("alice", read={"*"})
    page = alice.get(f"{PREFIX}/calendar?at=2026-10").text
    more = re.search(r'href="([^"]+)#day-2026-10-06">and (\d+) more', page)
    assert more
    week = alice.get(more[1].replace("&amp;", "&")).text
    assert all(f"shop 1.{number}.0" in week for number in range(12))


def test_the_way_to_the_months_beside_keeps_what_was_asked_for(as_: Client, history: History) -> None:
    page = as_("alice", read={"release_shop"}).get(f"{PREFIX}/calendar?at=2026-12&zone=Asia/Tokyo&app=shop").text
    for name, month in (("prev", "2026-11"), ("next", "2027-01")):
        assert (
            f'rel="{name}" href="{PREFIX}/calendar?view=month&amp;at={month}&amp;zone=Asia%2FTokyo&amp;app=shop"'
            in page
        )
    assert page.count('<th scope="col">') == 7


@pytest.mark.parametrize(
    ("query", "expected"),
    [("zone=Mars", "zone: a time zone"), ("at=March", "at: a month like"), ("view=year", "view: month or week"),
     ("zone=x%0AVFppZg==", "zone: a time zone")],
)  # fmt: skip
def test_what_cannot_be_asked_gets_a_sentence(as_: Client, history: History, query: str, expected: str) -> None:
    answer = as_("alice", read={"*"}).get(f"{PREFIX}/calendar?{query}")
    assert answer.status_code == 400
    assert expected in answer.json()["detail"]


def test_a_server_without_files_still_shows_what_was_released(
    as_: Client, released: Callable[..., str], project: Path
) -> None:
    for name in ("apps", "calendars"):
        for path in (project / name).iterdir():
            path.unlink()
    released("1", "2026-10-20T10:00:00")
    page = as_("alice", read={"*"}).get(f"{PREFIX}/calendar?at=2026-10").text
    assert "shop 1.1.0" in page
    assert "There is no calendar that you may see" in page
    assert "This server finds no app files" in page
