"""The overview: apps and environments as each viewer may see them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.history import History
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.progress import Progress
from release_pipelines.core.model.release_id import ROLLBACK_DAG
from release_pipelines.core.model.sighting import Sighting, TrackSeen
from release_pipelines.core.model.train import TrainApp
from release_pipelines.pages import access, overview
from release_pipelines.pages.files import Files
from tests.pages import people
from tests.pages.conftest import PREFIX, Client

SECRETS = ("b1", "9.9.9", "b" * 12, "dave", "heartbleed")
"""What alice of team A may see in no byte: b1's name, version, digest, people and reasons."""
JSON = {"accept": "application/json"}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of files, empty as yet."""
    for name in ("apps", "config", "trains", "calendars"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"RELEASE_PIPELINES_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(overview, "FILES", Files())
    return tmp_path


def release(
    history: History, app: str, version: str = "1.0.0", by: str = "carol", dag: str | None = None, **more: Any
) -> str:
    dag = dag or f"release_{app.replace('-', '_')}"
    run = more.pop("run", f"manual__{version}")
    history.begin(f"{dag}/{run}", app, dag, run, version, by, **more)
    return f"{dag}/{run}"


def ended(history: History, release_id: str, outcome: Any = "released", environment: str = "production") -> None:
    history.record_event(release_id, "deployed", "It runs there.", environment)
    if outcome == "released":
        history.promoted(release_id)
    history.finish(release_id, outcome, f"It ended {outcome}.")


def observe(history: History, app: str, environment: str = "production", **values: Any) -> None:
    """What a look of now has seen."""
    at = time.time()
    ready = TrackSeen(track="stable", wanted=1, ready=1)
    history.observe(
        [
            Sighting.model_validate(
                {
                    "app": app,
                    "environment": environment,
                    "looked_at": at,
                    "observed_at": at,
                    "tracks": [ready],
                    **values,
                }
            )
        ]
    )


def health(state: str) -> dict[str, Any]:
    return {"state": state, "at": time.time(), "sentence": f"its errors are {state}"}


@pytest.fixture
def teams(history: History) -> None:
    """Apps a1 and a2 of team A; b1 of team B is released, and is in a train with a1."""
    for app in ("a1", "a2"):
        ended(history, release(history, app))
        observe(history, app, version="1.0.0", digest=f"sha256:{'a' * 64}", since=50.0)
    running = release(history, "b1", "9.9.9", by="dave", reason="heartbleed")
    history.record_artifact(running, Artifact(app="b1", version="9.9.9", image="r/b1", digest=f"sha256:{'b' * 64}"))
    history.record_event(running, "asked", "Asked whether 9.9.9 may go on.")
    observe(
        history,
        "b1",
        version="9.9.9",
        digest=f"sha256:{'b' * 64}",
        drift_since=60.0,
        failure="b1: heartbleed",
        failed_since=5.0,
    )
    rollback = release(history, "b1", "9.9.9", by="dave", dag=ROLLBACK_DAG)
    history.finish(rollback, "failed", "b1: heartbleed")
    train = release(history, "train_weekly", "b1 9.9.9, a1 1.0.0", by="erin", dag="train_weekly", run="manual__1")
    apps = [TrainApp(app=it, environment="production", wave=1, version="9.9.9") for it in ("b1", "a1")]
    apps[1] = apps[1].model_copy(update={"version": "1.0.0"})
    history.plan_train(train, "b1 9.9.9, a1 1.0.0", apps)


def rows(text: str) -> list[str]:
    """The rows of the page, as text, each in one line."""
    found = re.findall(r"<tbody id=.*?</tbody>", text, re.S)
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", it)).strip() for it in found]


def names(text: str) -> list[str]:
    return re.findall(r'<tbody id="app-([^"]*)"', text)


A_TEAM = {"release_a1", "release_a2", "train_weekly", ROLLBACK_DAG}
ADDRESSES = [
    f"{PREFIX}/{it}"
    for it in (
        "", "?q=b1", "?q=9.9.9", "?q=dave", "?q=heartbleed", f"?q={'b' * 12}", "?state=running", "?state=waits", "?state=failed",
        "?state=drift", "?sort=version", "?sort=since", "?sort=last", "?environment=production", "?page=2", "?team=b&tag=b",
        "overview.json", "overview.json?state=waits",
    )
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_another_teams_app_is_in_no_byte(as_: Client, teams: None, address: str) -> None:
    answer = as_("alice", read=A_TEAM).get(address)
    assert answer.status_code == 200
    text = answer.text
    for word in ("b1", "9.9.9", "dave", "heartbleed"):  # what she asked for herself stands in the form and in links
        text = text.replace(f'value="{word}"', "").replace(f"q={word}", "")
    text = text.replace("b" * 12, "", text.count(f'value="{"b" * 12}"') + text.count(f"q={'b' * 12}"))
    for word in SECRETS:
        assert word not in text, word


def test_counts_are_made_of_what_the_viewer_may_see(as_: Client, teams: None) -> None:
    read = A_TEAM - {"train_weekly"}
    text = re.sub(r"<[^>]*>", "", as_("alice", read=read).get(f"{PREFIX}/").text)
    assert re.search(r"2 apps:\s+0 running,\s+0 wait for a person,\s+0 failed last,\s+0 with drift", text)
    counts = as_("alice", read=read).get(f"{PREFIX}/overview.json").json()["counts"]
    assert counts == {"apps": 2, "trains": 0, "running": 0, "waits": 0, "for_me": 0, "failed": 0, "drift": 0}
    everything = as_("root", read={"*"}).get(f"{PREFIX}/overview.json").json()["counts"]
    assert everything == {"apps": 3, "trains": 1, "running": 2, "waits": 1, "for_me": 0, "failed": 1, "drift": 1}
    assert as_("alice").get(f"{PREFIX}/overview.json?q=b1").json()["rows"] == []


def test_a_train_tells_how_many_of_its_apps_are_not_shown(as_: Client, teams: None) -> None:
    [train] = [it for it in rows(as_("alice", read=A_TEAM).get(f"{PREFIX}/").text) if "train" in it]
    assert "1 app that you may not see" in train
    assert "a1 1.0.0: not started" in train
    [whole] = [it for it in rows(as_("root", read={"*"}).get(f"{PREFIX}/").text) if "train" in it]
    assert "b1 9.9.9: not started" in whole
    assert "may not see" not in whole


def test_a_rollback_is_seen_by_who_may_read_its_app(as_: Client, teams: None) -> None:
    address = f"{PREFIX}/runs/{ROLLBACK_DAG}/manual__9.9.9"
    refused = as_("alice", read=A_TEAM).get(address, headers=JSON)
    assert refused.status_code == 403
    assert refused.text == as_("alice").get(f"{PREFIX}/runs/release_b1/manual__9.9.9", headers=JSON).text
    assert as_("root", read={"*"}).get(address).status_code == 200


def test_what_somebody_may_is_asked_once_for_all_apps_and_known_for_ten_seconds(
    as_: Client, teams: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
    from airflow.models import DagModel

    asked: list[tuple[str, int]] = []
    teams_asked: list[int] = []
    ask, ask_teams = BaseAuthManager.filter_authorized_dag_ids, DagModel.get_dag_id_to_team_name_mapping

    def counted(self: Any, *, dag_ids: set[str], user: Any, **more: Any) -> set[str]:
        asked.append((user.get_name(), len(dag_ids)))
        return ask(self, dag_ids=dag_ids, user=user, **more)

    def counted_teams(ids: list[str], **more: Any) -> Any:
        teams_asked.append(len(ids))
        return ask_teams(ids, **more)

    monkeypatch.setattr(BaseAuthManager, "filter_authorized_dag_ids", counted)
    monkeypatch.setattr(DagModel, "get_dag_id_to_team_name_mapping", staticmethod(counted_teams))
    alice, bob = as_("alice", read=A_TEAM), as_("bob", read={"release_b1"})
    for _ in range(3):
        assert "a1" in alice.get(f"{PREFIX}/").text
    assert asked == [("alice", 4)]
    assert teams_asked == [4]
    assert names(bob.get(f"{PREFIX}/").text) == ["b1"], "what alice may is not what bob may"
    assert asked == [("alice", 4), ("bob", 4)]
    people.READ["alice"] = {"release_a1"}
    monkeypatch.setattr(access, "RIGHTS_SECONDS", -1.0)
    assert names(alice.get(f"{PREFIX}/").text) == ["a1"], "a right that is taken away is gone"


def test_each_team_of_airflow_is_asked_with_its_name(as_: Client, teams: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
    from airflow.models import DagModel

    asked: dict[str | None, set[str]] = {}

    def told(self: Any, *, dag_ids: set[str], team_name: str | None = None, **_: Any) -> set[str]:
        asked[team_name] = dag_ids
        return dag_ids if team_name == "a" else set()

    of = {"release_a1": "a", "release_a2": "a", "release_b1": "b"}
    monkeypatch.setattr(DagModel, "get_dag_id_to_team_name_mapping", staticmethod(lambda ids: of))
    monkeypatch.setattr(BaseAuthManager, "filter_authorized_dag_ids", told)
    assert names(as_("alice").get(f"{PREFIX}/").text) == ["a1", "a2"]
    assert asked == {"a": {"release_a1", "release_a2"}, "b": {"release_b1"}, None: {"train_weekly"}}


def test_where_airflow_cannot_say_what_may_be_seen_nothing_is(
    as_: Client, teams: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, **_: Any) -> bool:
        raise RuntimeError("b1: heartbleed")

    alice = as_("alice", read=A_TEAM)
    monkeypatch.setattr(people.AuthManager, "is_authorized_dag", broken)
    answer = alice.get(f"{PREFIX}/")
    assert answer.status_code == 503
    assert not any(word in answer.text for word in (*SECRETS, "a1"))


# --- what stands there --------------------------------------------------------------------------------------------


@pytest.fixture
def many(history: History) -> None:
    """Apps in every state."""
    ended(history, release(history, "good"))
    observe(history, "good", version="1.0.0", digest=f"sha256:{'c' * 64}", since=50.0, health=health("ok"))
    ended(history, release(history, "bad", "1.0.10"), "rolled_back")
    observe(history, "bad", version="1.0.2", digest=f"sha256:{'d' * 64}", health=health("over"))
    running = release(history, "canary", "1.0.3")
    look = {"at": 11.0, "environment": "production", "step": "step_10", "weight": 10, "traffic": "10 %"}
    history.keep_progress({running: Progress(**look, earliest=20.0, latest=30.0)})
    observe(history, "canary", version="1.0.10", observed_at=80.0, failed_since=90.0, failure="It does not answer.")
    paused = release(history, "held", "1.0.4")
    history.keep_progress({paused: Progress(**look)})
    history.record_event(release(history, "asks", "1.0.5"), "asked", "Asked.")
    changed = {"kind": "version", "since": 70.0, "sentence": "erin put another image there"}
    observe(history, "drifted", digest=f"sha256:{'e' * 64}", drift_since=70.0, drift=[changed])


def test_every_state_is_a_word(as_: Client, many: None) -> None:
    found = rows(as_("root", read={"*"}).get(f"{PREFIX}/").text)
    by_name = {it.split()[0]: it for it in found}
    for name, words in {
        "good": ("1.0.0", "cccccccccccc", "since 1970-01-01 00:00:50 UTC", "ok", "last here: released"),
        "bad": ("1.0.2", "over its limit", "its errors are over", "rolled back 1.0.10"),
        "canary": ("not observed since 1970-01-01 00:01:30 UTC", "last seen: 1.0.10", "not observed ", "running 1.0.3 step_10, 10 %"),
        "held": ("paused 1.0.4",),
        "asks": ("waits for approval 1.0.5",),
        "drifted": ("unknown version (sha256:eeeeeeeeeeee…)", "drift since 1970-01-01 00:01:10 UTC erin put another image there"),
    }.items():  # fmt: skip
        for word in words:
            assert word in by_name[name], (name, word, by_name[name])
    assert len({it.partition(" ")[2] for it in found}) == len(found), "without colours they differ, too"


def test_the_last_try_is_not_what_runs(as_: Client, many: None) -> None:
    text = as_("root", read={"*"}).get(f"{PREFIX}/overview.json?q=bad").json()
    [production] = text["rows"][0]["environments"]
    assert (production["version"], production["last_release"]["version"]) == ("1.0.2", "1.0.10")
    assert production["last_release"]["outcome"] == "rolled_back"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["asks", "bad", "canary", "drifted", "good", "held"]),
        ("state=running", ["asks", "canary", "held"]),
        ("state=waits", ["asks", "held"]),
        ("state=failed", ["bad"]),
        ("state=drift", ["drifted"]),
        ("environment=production", ["bad", "canary", "drifted", "good", "held"]),
        ("q=1.0.10", ["bad", "canary"]),
        ("q=CAROL+rolled", ["bad"]),
        ("q=" + "e" * 12, ["drifted"]),
        ("q=nothing", []),
        ("sort=version", ["good", "bad", "canary", "asks", "drifted", "held"]),
        ("page=7", []),
    ],
)
def test_a_list_is_filtered_searched_and_sorted_by_its_address(
    as_: Client, many: None, query: str, expected: list[str]
) -> None:
    assert names(as_("root", read={"*"}).get(f"{PREFIX}/?{query}").text) == expected


@pytest.mark.parametrize("query", ["state=b1", "sort=b1", "page=0", "page=-1", "page=x", "page=²", "q=" + "x" * 201])
def test_an_address_that_asks_for_what_there_is_not_gets_a_sentence(as_: Client, query: str) -> None:
    answer = as_("root", read={"*"}).get(f"{PREFIX}/?{query}", headers={"accept": "text/html"})
    assert answer.status_code == 400
    assert "expected" in answer.text


def test_what_people_wrote_is_text(as_: Client, history: History) -> None:
    nasty = '"><script>document.title=1</script>'
    release(history, nasty, nasty, by=nasty, dag="release_x", run=nasty)
    text = as_("root", read={"*"}).get(f"{PREFIX}/", params={"q": nasty}).text
    assert "<script>document" not in text
    assert names(text) == ["%22%3E%3Cscript%3Edocument.title%3D1%3C%2Fscript%3E"]


def test_a_history_that_does_not_answer_is_not_an_empty_one(as_: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from release_pipelines.adapters.history import HistoryUnavailable

    def away(_: Any) -> Any:
        raise HistoryUnavailable("secret-host:5432 refused")

    monkeypatch.setattr(overview.HistoryHook, "history", away)
    answer = as_("root", read={"*"}).get(f"{PREFIX}/", headers={"accept": "text/html"})
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert "No releases" not in answer.text
    assert "secret-host" not in answer.text


# --- files --------------------------------------------------------------------------------------------------------

APP = """\
name: {name}
description: sells things
owner: {owner}
image: acme/{name}
environments: [staging, production]
{more}
"""
CALENDAR = """\
time_zone: UTC
entries:
  - {window: night, days: daily, from: "22:00", to: "23:00"}
"""


@pytest.fixture
def files(project: Path) -> Callable[..., None]:
    """Writes an app's file."""
    config = Path(__file__).parents[2] / "include" / "config"
    for it in config.glob("*.yaml"):
        (project / "config" / it.name).write_text(it.read_text())

    def write(name: str, owner: str = "shop-team", more: str = "") -> None:
        (project / "apps" / f"{name}.yaml").write_text(APP.format(name=name, owner=owner, more=more))

    return write


def test_an_app_without_a_release_and_one_without_a_file_are_rows(
    as_: Client, history: History, files: Callable[..., None]
) -> None:
    files("shop")
    files("cart", "cart-team")
    ended(history, release(history, "gone"))
    found = {it.split()[0]: it for it in rows(as_("root", read={"*"}).get(f"{PREFIX}/").text)}
    assert list(found) == ["cart", "gone", "shop"]
    assert "no file any more" in found["gone"]
    assert "no file any more" not in found["shop"]
    assert found["shop"].index("staging") < found["shop"].index("production")
    assert "not observed yet" in found["shop"]
    text = as_("root").get(f"{PREFIX}/?team=cart-team").text
    assert names(text) == ["cart"]
    assert names(as_("bob", read={"release_shop"}).get(f"{PREFIX}/").text) == ["shop"]
    assert "cart-team" not in as_("bob").get(f"{PREFIX}/").text, "nor is it a choice of the filter"


def test_a_release_that_waits_for_me_says_so(
    as_: Client, history: History, files: Callable[..., None], project: Path
) -> None:
    files("shop")
    production = project / "config" / "production.yaml"
    production.write_text(
        re.sub(r"(?m)^approvers:.*(\n\s+- .*)*\n", "", production.read_text()) + "approvers: [bob, carol]\n"
    )
    history.record_event(release(history, "shop", by="carol"), "asked", "Asked.")
    for who, mine in (("bob", 1), ("carol", 0), ("dave", 0)):
        client = as_(who, read={"*"})
        assert client.get(f"{PREFIX}/overview.json").json()["counts"]["for_me"] == mine, who
        assert ("waits for you" in client.get(f"{PREFIX}/").text) is bool(mine), who


def test_a_calendar_is_asked_once_however_many_look(
    as_: Client, history: History, files: Callable[..., None], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from release_pipelines.pages import windows

    (project / "calendars" / "nights.yaml").write_text(CALENDAR)
    files("shop", more="calendars: [nights]")
    asked: list[str] = []
    ask = windows.outlook

    def counted(rule: Any, *more: Any) -> Any:
        asked.append(rule.app)
        return ask(rule, *more)

    monkeypatch.setattr(windows, "outlook", counted)
    monkeypatch.setattr(overview, "WINDOWS", windows.Windows())
    for who in ("alice", "bob", "carol"):
        [row] = rows(as_(who, read={"*"}).get(f"{PREFIX}/").text)
        assert re.search(r"closed next \S+ 22:00:00 UTC|open now until \S+ 23:00:00 UTC", row), row
    assert asked == ["shop"]


def test_pages_of_a_long_list_have_each_app_once(
    as_: Client, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "PER_PAGE", 10)
    for n in range(25):
        release(history, f"app-{n:02}")
    client = as_("root", read={"*"})
    found = [names(client.get(f"{PREFIX}/?state=running&page={page}").text) for page in (1, 2, 3)]
    assert [len(it) for it in found] == [10, 10, 5]
    assert [it for one in found for it in one] == [f"app-{n:02}" for n in range(25)]
    assert 'href="/releases/?state=running&amp;page=2"' in client.get(f"{PREFIX}/?state=running").text
    assert len(client.get(f"{PREFIX}/overview.json?page=2").json()["rows"]) == 25
