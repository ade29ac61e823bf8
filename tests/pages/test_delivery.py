"""How we deliver: the measures as a page, as JSON, as a picture and for Prometheus."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from typer.testing import CliRunner

from release_pipelines.adapters.history import History
from tests.pages.conftest import PREFIX, Client, token_of

Released = Callable[..., str]


def at(text: str) -> float:
    """Unix time of an ISO text, UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


@pytest.fixture
def released(history: History) -> Released:
    """A release that has ended, with its traffic."""
    numbers: dict[str, int] = {}

    def add(app: str, full: float, outcome: str = "released", environment: str = "production", dag: str = "") -> str:
        numbers[app] = numbers.get(app, 0) + 1
        dag_id, run_id = dag or f"release_{app}", f"r{numbers[app]}"
        release = f"{dag_id}/{run_id}#0"
        history._now = lambda: full - 600  # type: ignore[method-assign]
        history.begin(release, app, dag_id, run_id, f"1.{numbers[app]}.0", f"who-asked-for-{app}", notes=f"why-{app}")
        traffic = {"step": "s", "weight": 100 if outcome == "released" else 10, "at": full}
        history.record_event(release, "traffic", "s", environment, traffic)
        history._now = lambda: full  # type: ignore[method-assign]
        history.finish(release, outcome, f"sentence-of-{app}")  # type: ignore[arg-type]
        return release

    return add


JUNE = "from=2026-06-01&to=2026-07-01"


def test_the_page_tells_the_measures_each_with_its_number(as_: Client, released: Released) -> None:
    for day in range(1, 9):
        released("shop", at(f"2026-06-{day:02}T10:00"))
    released("shop", at("2026-06-09T10:00"), "rolled_back")
    page = as_("alice", read={"release_shop"}).get(f"{PREFIX}/delivery?{JUNE}").text
    assert "11.1 % (1 of 9)" in page
    assert "0.0 % (0 of 9)" in page
    assert ">–<" in page, "nothing is known of commits"  # noqa: RUF001
    assert "As of" in page
    assert f"{PREFIX}/runs/release_shop/r9" in page


def test_the_json_says_what_the_command_says(
    as_: Client, released: Released, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    from release_pipelines.cli import app

    released("shop", at("2026-06-02T10:00"))
    released("shop", at("2026-06-03T10:00"), "rolled_back")
    released("cart", at("2026-06-03T22:30"))
    page = as_("alice", read={"*"}).get(f"{PREFIX}/delivery.json?{JUNE}&zone=Europe/Berlin").json()
    arguments = ["--since", "2026-06-01", "--until", "2026-07-01", "--zone", "Europe/Berlin", "--json"]
    database = history._engine.url.render_as_string(hide_password=False)
    said = json.loads(CliRunner().invoke(app, ["delivery", "--database", database, *arguments]).stdout)
    assert {key: page[key] for key in said} == said
    assert set(said["apps"]) == {"shop", "cart"}


def test_where_nothing_was_deployed_only_the_frequency_has_a_value(as_: Client, released: Released) -> None:
    released("shop", at("2026-06-02T10:00"))
    alice = as_("alice", read={"*"})
    asked = "from=2026-08-01&to=2026-09-01"
    [shop] = alice.get(f"{PREFIX}/delivery.json?{asked}").json()["apps"].values()
    assert (shop["deployed"], shop["per_week"]) == (0, 0.0)
    assert [shop[it] for it in ("lead_time", "change_fail_rate", "recovery_time", "rework_rate")] == [None] * 4
    page = alice.get(f"{PREFIX}/delivery?{asked}").text
    assert "NaN" not in page
    assert "0.0 %" not in page


def test_weeks_without_a_deployment_are_drawn_and_cut_ones_marked(as_: Client, released: Released) -> None:
    for day in ("2026-09-18T10:00", "2026-10-01T10:00"):
        released("shop", at(day))
    page = as_("alice", read={"*"}).get(f"{PREFIX}/delivery?from=2026-09-15&to=2026-10-15").text
    weeks = page[page.index("Week of") :]
    for week in ("2026-09-14", "2026-09-21", "2026-09-28", "2026-10-05", "2026-10-12"):
        assert f'datetime="{week}"' in weeks
    assert "(cut: 6 of 7 days)" in weeks
    assert "(cut: 3 of 7 days)" in weeks
    assert '<td data-label="A week">0.47 (' in page


def test_several_apps_together_are_sums_and_it_is_said_that_they_say_little(as_: Client, released: Released) -> None:
    released("x", at("2026-06-02T10:00"))
    released("x", at("2026-06-03T10:00"), "rolled_back")
    for day in range(1, 19):
        released("y", at(f"2026-06-{day:02}T11:00"))
    page = as_("alice", read={"*"}).get(f"{PREFIX}/delivery?{JUNE}").text
    assert "5.0 % (1 of 20)" in page
    assert "2 apps together say little" in page
    assert "one app at a time" not in as_("alice").get(f"{PREFIX}/delivery?{JUNE}&app=x").text


def test_a_release_in_two_environments_counts_in_each_and_once_for_its_app(
    as_: Client, released: Released, history: History
) -> None:
    release = released("shop", at("2026-06-02T10:00"), environment="east")
    west = {"step": "s", "weight": 100, "at": at("2026-06-02T11:00")}
    history.record_event(release, "traffic", "s", "west", west)
    alice = as_("alice", read={"*"})
    for where, expected in (("", 1), ("&environment=east", 1), ("&environment=west", 1)):
        [shop] = alice.get(f"{PREFIX}/delivery.json?{JUNE}{where}").json()["apps"].values()
        assert shop["deployed"] == expected
    page = alice.get(f"{PREFIX}/delivery?{JUNE}").text
    assert "east" in page
    assert "west" in page


def test_what_its_reader_may_not_see_is_in_no_byte_and_in_no_number(as_: Client, released: Released) -> None:
    released("shop", at("2026-06-02T10:00"))
    released("covert", at("2026-06-03T10:00"), "rolled_back")
    released("covert", at("2026-06-03T12:00"), dag="release_rollback")
    alice = as_("alice", read={"release_shop", "release_rollback"})
    for path in ("delivery", "delivery.json", "delivery/chart.svg", "metrics"):
        for query in (JUNE, f"{JUNE}&app=covert", f"{JUNE}&team=covert"):
            answer = alice.get(f"{PREFIX}/{path}?{query}")
            assert answer.status_code == 200
            assert "covert" not in answer.text
    assert "100.0 %" not in alice.get(f"{PREFIX}/delivery?{JUNE}").text
    unknown = alice.get(f"{PREFIX}/delivery.json?{JUNE}&app=nothing").json()
    assert alice.get(f"{PREFIX}/delivery.json?{JUNE}&app=covert").json()["apps"] == unknown["apps"] == {}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("zone=Mars", "a time zone like Europe/Berlin is expected"),
        ("from=June", "from: a day like"),
        ("to=2026-06-31", "to: a day like"),
        ("from=2026-07-01&to=2026-06-01", "at least one day"),
        ("from=1971-01-01&to=2199-01-01", "at most 1100 days"),
        ("from=0001-01-01&to=0001-02-01", "at most 1100 days"),
    ],
)
def test_what_cannot_be_asked_gets_a_sentence(as_: Client, query: str, expected: str) -> None:
    answer = as_("alice", read={"*"}).get(f"{PREFIX}/delivery.json?{query}")
    assert answer.status_code == 400
    assert expected in answer.json()["detail"]


def test_the_picture_is_drawn_again_only_when_its_numbers_change(as_: Client, released: Released) -> None:
    released("shop", at("2026-06-02T10:00"))
    alice = as_("alice", read={"*"})
    first = alice.get(f"{PREFIX}/delivery/chart.svg?{JUNE}")
    assert first.headers["content-type"] == "image/svg+xml"
    assert first.text.lstrip().startswith("<?xml")
    kept = {"if-none-match": first.headers["etag"]}
    assert alice.get(f"{PREFIX}/delivery/chart.svg?{JUNE}", headers=kept).status_code == 304
    dark = alice.get(f"{PREFIX}/delivery/chart.svg?{JUNE}&theme=dark", headers=kept)
    assert dark.status_code == 200
    assert dark.text != first.text
    released("shop", at("2026-06-03T10:00"))
    assert alice.get(f"{PREFIX}/delivery/chart.svg?{JUNE}", headers=kept).status_code == 200


def test_what_goes_wrong_later_changes_an_earlier_month_on_reading_again(
    as_: Client, released: Released, history: History
) -> None:
    first = released("shop", at("2026-07-30T10:00"))
    alice = as_("alice", read={"*"})
    july = f"{PREFIX}/delivery.json?from=2026-07-01&to=2026-08-01"
    assert alice.get(july).json()["apps"]["shop"]["change_fail_rate"] == 0.0
    hotfix = released("shop", at("2026-08-02T10:00"))
    history.record_event(hotfix, "remedies", "Puts 1.1.0 right.", None, {"release": first})
    assert alice.get(july).json()["apps"]["shop"]["change_fail_rate"] == 1.0


def test_a_week_lists_its_releases_and_says_how_many_it_does_not(
    as_: Client, released: Released, monkeypatch: pytest.MonkeyPatch
) -> None:
    from release_pipelines.pages import delivery

    monkeypatch.setattr(delivery, "MOST_A_WEEK", 2)
    for hour in range(10, 15):
        released("shop", at(f"2026-06-02T{hour}:00"))
    page = as_("alice", read={"*"}).get(f"{PREFIX}/delivery?{JUNE}").text
    assert "<summary>5 releases</summary>" in page
    assert "and 3 more" in page
    assert page.count(f'href="{PREFIX}/runs/') == 2


def samples(text: str) -> dict[str, float]:
    """Sample to value, of a text that Prometheus reads."""
    from prometheus_client.parser import text_string_to_metric_families

    return {
        f"{it.name}{sorted(it.labels.items())}": it.value
        for family in text_string_to_metric_families(text)
        for it in family.samples
    }


def test_prometheus_reads_gauges_that_are_the_same_in_every_process(
    as_: Client, released: Released, history: History
) -> None:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from release_pipelines.pages.app import create
    from tests.pages import people

    now = datetime.now(timezone.utc)
    released("shop", (now - timedelta(days=3)).timestamp())
    released("shop", (now - timedelta(days=2)).timestamp(), "rolled_back")
    as_("prometheus", read={"*"})
    people.READ["prometheus"] = {"*"}
    bearer = {"authorization": f"Bearer {token_of('prometheus')}"}
    read = []
    for _ in range(3):  # as after a restart, and as a second process
        app = FastAPI()
        app.mount(PREFIX, create())
        answer = TestClient(app).get(f"{PREFIX}/metrics", headers=bearer)
        assert answer.headers["content-type"].startswith("text/plain")
        read.append(samples(answer.text))
    assert read[0] == read[1] == read[2]
    where = "[('app', 'shop'), ('environment', 'production')]"
    assert read[0][f"release_delivery_deployments{where}"] == 1
    assert read[0][f"release_delivery_change_fail_ratio{where}"] == 0.5


def test_what_has_no_value_has_no_sample(as_: Client, released: Released) -> None:
    released("shop", at("2026-01-02T10:00"))
    said = as_("alice", read={"*"}).get(f"{PREFIX}/metrics").text
    where = "[('app', 'shop'), ('environment', 'production')]"
    assert samples(said)[f"release_delivery_deployments{where}"] == 0
    assert not [it for it in samples(said) if "ratio" in it or "seconds" in it]
    assert "NaN" not in said


def test_metrics_need_an_account(as_: Client) -> None:
    assert as_(None).get(f"{PREFIX}/metrics").status_code == 401
