"""The page of one release, at each moment of its life and of whatever run it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from typer.testing import CliRunner

from release_pipelines.adapters.history import History
from release_pipelines.cli import app as cli
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.records import COMMITS, STAGES
from release_pipelines.core.model.sighting import Sighting
from release_pipelines.core.model.train import TrainApp
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.pages.charts import DRAWINGS
from release_pipelines.pages.html import instant
from release_pipelines.pages.reading import Reading
from release_pipelines.pages.release import PARTS
from tests.core.status import stories
from tests.core.status.stories import ID, LINE, NEW, OLD, T
from tests.pages.conftest import PREFIX, Client, viewer_of

WHERE = f"{PREFIX}/runs/release_shop/manual__1"
NASTY = [
    "</div><b>x</b>",
    "</script><script>document.title='owned'</script>",
    "<!--<script>",
    '"><img src=x onerror=alert(1)>',
    "![b](http://127.0.0.1:9/b.png)",
]


def begin(history: History, release: str = ID, version: str = "1.1.0", **more: Any) -> None:
    run = release.partition("/")[2].rpartition("#")[0]
    told = {"app": "shop", "dag_id": release.partition("/")[0], "run_id": run, "requester": "alice", **more}
    history.at(T).begin(release, version=version, **told)


def live(history: History, release: str = ID, **more: Any) -> None:
    """A release that holds at 10 %."""
    begin(history, release)
    history.record_artifact(
        release, Artifact(app="shop", version="1.1.0", image="registry.example/shop", digest=NEW, commit="c0ffee1234")
    )
    history.attach(release, STAGES, "application/json", LINE.model_dump_json())
    for it in (stories.CHECKED, stories.STAGING, stories.ASKED, stories.PRODUCTION, stories.STEP_10):
        history.at(it.at).record_event(release, it.kind, it.sentence, it.environment, it.data)
    history.at(T + 100).record_approval(release, NEW, "approved", "bob", "looks good")
    history.keep_progress({release: stories.holding(250, **more)})


def judged(history: History, step: str, weight: int, first: float, count: int = 30, metrics: int = 1) -> None:
    told = stories.verdict(first + 10 * count, step, weight)
    verdict = Verdict.model_validate(told.model_dump(exclude={"environment"}))
    names = ["errors", *(f"metric-{n}" for n in range(1, metrics))]
    verdict = verdict.model_copy(
        update={"metrics": [verdict.metrics[0].model_copy(update={"metric": it}) for it in names]}
    )
    samples = [
        Sample.model_validate(it.model_dump(exclude={"environment", "step"}))
        for name in names
        for it in stories.samples(first, step, count, name)
    ]
    history.record_verdict(ID, "production", verdict, samples)


def soup(as_: Client, where: str = WHERE, name: str = "bob", read: set[str] | None = None) -> BeautifulSoup:
    answer = as_(name, read=read or {"release_shop"}).get(where)
    assert answer.status_code == 200, answer.text
    return BeautifulSoup(answer.text, "html.parser")


def test_a_live_canary_is_a_whole_page_without_javascript(as_: Client, history: History) -> None:
    live(history)
    page = soup(as_)
    assert [it.get_text() for it in page.find_all("h1")] == ["shop 1.1.0"]
    for name in PARTS:
        assert len(page.find_all(id=name)) == (name != "train"), name
    line = [
        (it.find(class_="stage-name").get_text(), it.find(class_="stage-state").get_text())
        for it in page.select("#stages li")
    ]
    assert line[4:8] == [("canary_deploy", "done"), ("step_10", "now"), ("step_50", "to come"), ("bake", "to come")]
    assert page.select_one("#stages li[aria-current=step] .stage-name").get_text() == "step_10"
    rows = [
        [it.get_text(" ", strip=True) for it in row.find_all(["th", "td"])] for row in page.select("#tracks tbody tr")
    ]
    assert [row[:3] for row in rows] == [["stable", "90 %", "4 of 4 ready"], ["canary", "10 %", "1 of 1 ready"]]
    assert page.select_one("#tracks time")["datetime"].startswith("2026-09-21")
    countdowns = [it["datetime"] for it in page.select("#clock time[data-countdown]")]
    assert len(countdowns) == 2 or page.find(id="clock")["data-waits-for"] == "numbers"
    errors = page.select_one("#metrics tr[data-metric=errors]")
    assert "0.2 %" in errors.get_text()
    assert errors.select_one("data.evidence")["value"] == "0.4"
    assert "the query gave no number" in page.select_one("#metrics tr[data-metric=cpu]").get_text()
    assert page.select_one("#deployed a")["href"] == "https://github.com/acme/shop/commit/c0ffee1234"
    assert "looks good" in page.find(id="record").get_text()
    assert OLD in page.find(id="way_back").get_text()
    for tag in page.find_all(True):
        assert not [it for it in tag.attrs if it.startswith("on") or it == "style"], tag
    assert [it.get("src") for it in page.find_all("script")] == [f"{PREFIX}/static/pages.js"]


def test_the_page_and_the_command_agree(as_: Client, history: History, tmp_path: Path) -> None:
    live(history)
    page = soup(as_)
    shown = CliRunner().invoke(cli, ["show", ID, "--json", "--database", f"sqlite:///{tmp_path}/history.db"])
    told = json.loads(shown.stdout)["status"]
    weights = {row.th.get_text(): int(row.data["value"]) for row in page.select("#tracks tbody tr")}
    assert weights == {it["track"]: it["weight"] for it in told["tracks"]["tracks"]}
    evidence = {
        row["data-metric"]: float(it["value"]) for row in page.select("#metrics tr[data-metric]")
        if (it := row.select_one("data.evidence"))
    }  # fmt: skip
    assert evidence == {it["metric"]: it["evidence"] for it in told["metrics"] if it["evidence"] is not None}
    assert page.find(id="clock")["data-waits-for"] == told["clock"]["waits_for"]
    moments = [it["datetime"] for it in page.select("#clock time[data-countdown]")]
    until = told["clock"]["patient_until_at"].replace("+00:00", "Z")
    assert until in moments


def test_the_parts_of_the_page_are_those_of_the_stream(as_: Client, history: History) -> None:
    from starlette.requests import Request

    from release_pipelines.pages import release as module

    live(history)
    client = as_("bob", read={"release_shop"})
    page = client.get(WHERE).text
    one = module.One(Reading(), "release_shop", "manual__1")
    viewer = viewer_of("bob")
    request = Request({"type": "http", "path": "/", "root_path": PREFIX, "headers": [], "query_string": b""})
    request.state.viewer = viewer
    data = one.read(history)
    parts = one.parts(request, data, one.sight(data, viewer))
    assert set(parts) == set(PARTS) - {"train"}
    for name, html in parts.items():
        assert BeautifulSoup(html, "html.parser").find(id=name) is not None
        if name != "clock":  # the hold of the story is over at one moment or another
            assert html.strip() in page, name


def test_what_people_and_git_wrote_is_text(as_: Client, history: History) -> None:
    begin(history, version="1.1.0", notes=NASTY[1], requester=NASTY[0])
    plain = len(soup(as_).find_all(True))
    history.command(ID, "pause", NASTY[3], NASTY[4])
    history.attach(ID, COMMITS, "application/json", json.dumps([{"sha": it} for it in NASTY]))
    history.keep_progress({ID: stories.holding(250, missing=NASTY, traffic=NASTY[2], metrics=[], tracks=[])})
    history.attach(
        ID,
        STAGES,
        "application/json",
        LINE.model_copy(update={"repository": "javascript:alert(1)//"}).model_dump_json(),
    )
    page = soup(as_)
    text = page.get_text()
    for it in NASTY:
        assert it in text
    assert page.find_all(["b", "script"]) == page.select("head > script")
    assert not [it for it in page.find_all("a") if not it["href"].startswith(("/", "#"))]
    assert not [it for it in page.find_all("img") if not it["src"].startswith(f"{PREFIX}/")]
    assert len(page.find_all(True)) > plain


def test_a_forges_password_is_in_no_byte(as_: Client, history: History) -> None:
    live(history)
    line = LINE.model_copy(update={"repository": "https://bot:tok3n@git.example.com/acme/shop.git"})
    history.attach(ID, STAGES, "application/json", line.model_dump_json())
    answer = as_("bob", read={"release_shop"}).get(WHERE).text
    assert "https://git.example.com/acme/shop/commit/c0ffee1234" in answer
    assert "tok3n" not in answer


def test_the_newest_life_of_a_run_is_shown_and_leads_to_earlier_ones(as_: Client, history: History) -> None:
    begin(history, "release_shop/manual__1#0", "1.0.0")
    history.finish("release_shop/manual__1#0", "failed", "It failed.")
    begin(history, "release_shop/manual__1#1", "1.1.0")
    page = soup(as_)
    assert page.h1.get_text() == "shop 1.1.0"
    [earlier] = page.select(".lives a")
    assert earlier["href"] == f"{WHERE}?life=0"
    first = soup(as_, earlier["href"])
    assert (first.h1.get_text(), "It failed." in first.get_text()) == ("shop 1.0.0", True)
    assert first.select_one(".lives a")["href"] == f"{WHERE}?life=1"
    assert "knows no release of this run" in soup(as_, f"{WHERE}?life=7").get_text()


def test_more_lives_than_are_asked_for_at_once_are_found(history: History) -> None:
    for number in range(102):
        begin(history, f"release_shop/manual__1#{number}")
    begin(history, "release_shop/manual__10#0", run_id="manual__10")
    lives = history.lives("release_shop", "manual__1")
    assert lives == [f"release_shop/manual__1#{number}" for number in range(102)]
    assert history.lives("release_shop", "manual__2") == []
    history.begin("shop to the moon", "shop", "my_dag", "r1", "1.0.0", "alice")
    assert history.lives("my_dag", "r1") == ["shop to the moon"], "an operator alone may call its release otherwise"


def test_a_run_that_releases_nothing_says_so_and_leads_to_it(as_: Client, history: History) -> None:
    page = soup(as_, f"{PREFIX}/runs/etl/scheduled__2026-01-01T00:00:00+00:00", read={"etl"})
    assert "knows no release of this run" in page.get_text()
    assert (
        page.select_one("a[data-airflow-link]")["href"] == "/dags/etl/runs/scheduled__2026-01-01T00%3A00%3A00%2B00%3A00"
    )


def test_a_release_of_single_operators_without_an_app_file_is_what_it_told(as_: Client, history: History) -> None:
    begin(history, "data_team/manual__1#0", app="basket")
    history.record_event("data_team/manual__1#0", "deployed", "deployed.", "production", {"previous_version": "3"})
    page = soup(as_, f"{PREFIX}/runs/data_team/manual__1", read={"data_team"})
    assert [it.get_text() for it in page.select(".stage-name")] == ["preflight", "deploy"]
    assert "It would go back to 3" in page.find(id="way_back").get_text()


def test_an_old_history_shows_what_it_has(as_: Client, history: History) -> None:
    begin(history, "release_shop/manual__1")  # ids of before had no number
    verdict = Verdict(judgement="fail", decided_at=T + 90, step="weight_25", weight=25, sentence="4.8 % errors")
    history.record_verdict(
        "release_shop/manual__1", "production", verdict, [Sample(metric="errors", at=T + 80, bad=48, total=1000)]
    )
    history.finish("release_shop/manual__1", "rolled_back", "Rolled back at 25 %.")
    page = soup(as_)
    assert "Rolled back at 25 %." in page.find(id="sentence").get_text()
    assert [it.get_text() for it in page.select(".stage-state")] == ["done", "failed"]
    assert "was not kept" in page.find(id="deployed").get_text()
    assert "nobody has looked since" in page.find(id="tracks").get_text()


def test_a_rollback_by_hand_is_for_who_may_read_the_apps_own_dag(as_: Client, history: History) -> None:
    begin(history, "release_rollback/manual__9#0", "1.2.0")
    history.record_event(
        "release_rollback/manual__9#0", "rollback", "all traffic back to 1.0.0", "production", {"version": "1.0.0"}
    )
    where = f"{PREFIX}/runs/release_rollback/manual__9"
    answer = as_("carol", read={"release_rollback"}).get(where)
    assert (answer.status_code, "shop" in answer.text) == (403, False)
    page = soup(as_, where, "dave", {"release_rollback", "release_shop"})
    assert [it.get_text() for it in page.select(".stage-name")] == ["rollback"]
    assert "1.0.0" in page.find(id="way_back").get_text()


def test_a_train_shows_the_apps_that_its_reader_may_see_and_counts_the_others(as_: Client, history: History) -> None:
    begin(history, "train_weekly/manual__1#0", "2026-40", app="train_weekly")
    apps = [
        TrainApp(app="shop", environment="production", wave=1, version="1.1.0", run_id="train__1", result="released"),
        TrainApp(
            app="cart",
            environment="production",
            wave=2,
            position=1,
            version="7.7.7",
            result="failed",
            sentence="cart broke",
        ),
    ]
    history.plan_train("train_weekly/manual__1#0", "2026-40", apps)
    history.finish("train_weekly/manual__1#0", "stopped", "Stopped in wave 2: cart 7.7.7 broke.")
    where = f"{PREFIX}/runs/train_weekly/manual__1"
    answer = as_("alice", read={"train_weekly", "release_shop"}).get(where).text
    assert "1 app that you may not see" in answer
    assert f"{PREFIX}/runs/release_shop/train__1" in answer
    assert "Who has the traffic" not in answer, "which its apps' own pages say"
    for word in ("cart", "7.7.7", "broke"):
        assert word not in answer
    whole = as_("bob", read={"*"}).get(where).text
    assert "Stopped in wave 2: cart 7.7.7 broke." in whole
    assert "may not see" not in whole


def test_each_metric_is_a_chart_that_is_drawn_once_for_all_who_look(as_: Client, history: History) -> None:
    live(history)
    judged(history, "testers_1", 0, 20, 8)
    bob = as_("bob", read={"release_shop"})
    page = BeautifulSoup(bob.get(WHERE).text, "html.parser")
    light, dark = (page.select_one(f"#metrics img.on-{it}")["src"] for it in ("light", "dark"))
    assert light.startswith(f"{WHERE}/charts/production/errors/light.svg?")
    answers = [bob.get(it) for it in (light, dark, light)]
    assert [it.headers["content-type"] for it in answers] == ["image/svg+xml"] * 3
    assert answers[0].text == answers[2].text != answers[1].text
    assert "<script" not in answers[0].text
    assert "'unsafe-inline'" in answers[0].headers["content-security-policy"]
    assert "sandbox" in answers[0].headers["content-security-policy"]
    assert [it.get_text() for it in page.select("#metrics figure thead th")][:5] == [
        "Time",
        "Step",
        "New version",
        "Stable",
        "Limit",
    ]
    rows = page.select("#numbers-production-errors tbody tr")
    assert len(rows) == 8 + 12
    assert [it.get_text() for it in rows[0].find_all("td")] == ["testers_1", "0.2 %", "0.1 %", "1 %"]
    again = as_("carol", read={"release_shop"}).get(light, headers={"if-none-match": answers[0].headers["etag"]})
    assert (again.status_code, again.text) == (304, "")


def test_a_chart_is_for_who_may_read_the_dag_and_of_what_was_measured(as_: Client, history: History) -> None:
    live(history)
    where = f"{WHERE}/charts/production/errors/light.svg"
    assert as_("mallory", read={"release_cart"}).get(where).status_code == 403
    bob = as_("bob", read={"release_shop"})
    assert bob.get(where).status_code == 200
    assert bob.get(f"{WHERE}/charts/production/nothing/light.svg").status_code == 404
    assert bob.get(f"{WHERE}/charts/production/errors/pink.svg").status_code == 422


def test_a_chart_is_not_drawn_anew_for_each_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    from release_pipelines.core.status.model import Series, Span
    from release_pipelines.pages import charts

    drawn: list[int] = []
    monkeypatch.setattr(
        charts, "chart", lambda series, theme: drawn.append(len(series.spans[0].points)) or str(len(drawn))
    )

    def series(count: int) -> Series:
        points = [(T + n, 0.1, None) for n in range(count)]
        return Series(
            environment="production", metric="errors", label="errors", spans=[Span(step="bake", points=points)]
        )

    drawings = charts.Drawings()
    assert {drawings.of(ID, series(5), "light").svg for _ in range(50)} == {"1"}
    assert drawings.of(ID, series(6), "light").svg == "1"
    monkeypatch.setattr(charts, "REDRAWN_SECONDS", 0.0)
    assert drawings.of(ID, series(6), "light").svg == "2"
    assert drawn == [5, 6]


def test_a_long_release_is_a_page_of_bearable_length(as_: Client, history: History) -> None:
    """250 measurements of 8 metrics: what is shown is thinned out, and says the same."""
    live(history)
    judged(history, "testers_1", 0, -3000, 250, 8)
    answer = as_("bob", read={"release_shop"}).get(WHERE)
    page = BeautifulSoup(answer.text, "html.parser")
    assert len(page.select("#metrics figure")) == 8
    assert len(page.select("#numbers-production-metric-3 tbody tr")) <= 60
    assert len(answer.content) < 500_000
    assert DRAWINGS is not None


def test_times_name_their_zone_and_addresses_begin_where_airflow_is(as_: Client, history: History) -> None:
    live(history)
    page = soup(as_)
    for it in page.find_all("time"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", it.get_text()), it
    for it in page.select("a[href], img[src]"):
        address = it.get("href") or it.get("src")
        assert address.startswith(("/", "#", "https://github.com/")), it


def test_who_has_the_traffic_is_what_was_seen_last_also_after_the_release(as_: Client, history: History) -> None:
    live(history)
    tracks = [{"track": "stable", "digest": OLD, "version": "1.0.0", "weight": 100, "ready": 3, "wanted": 4}]
    seen = {"app": "shop", "environment": "production", "looked_at": T + 400, "observed_at": T + 400, "tracks": tracks}
    history.observe([Sighting.model_validate({**seen, "looked_at": T + 200, "observed_at": T + 200})])
    part = soup(as_).find(id="tracks")
    assert "canary" in part.get_text()  # the stage has looked since
    history.at(T + 300).finish(ID, "rolled_back", "It is back.")
    history.observe([Sighting.model_validate(seen)])
    part = soup(as_).find(id="tracks")
    assert [it.get_text(" ", strip=True) for it in part.select("tbody tr > *")][:3] == [
        "stable",
        "100 %",
        "3 of 4 ready",
    ]
    assert "canary" not in part.get_text()
    assert part.find("time")["datetime"] == instant(T + 400)
