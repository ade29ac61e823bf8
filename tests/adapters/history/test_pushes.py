"""Deliveries and starts in the history."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from release_pipelines.adapters.history import History, open_history
from release_pipelines.core.pushes.deciding import Fate
from release_pipelines.core.pushes.meaning import Start

C1 = "1" * 40
WAITS = Fate("waiting", "it has come")
START = Start("shop", C1, f"commit:{C1}", C1, by="octocat", source="github")
RACE = """
import sys, time
from release_pipelines.adapters.history import open_history
from release_pipelines.core.pushes.deciding import Fate
from release_pipelines.core.pushes.meaning import Start
history = open_history(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
news = [history.ask_for("production", Start("shop", str(n), f"commit:{n}", str(n)), Fate("waiting", "")).new for n in range(50)]
print(sum(news))
"""


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres"))
    return f"sqlite:///{tmp_path}/history.db"


@pytest.fixture
def history(address: str) -> History:
    return open_history(address)


def test_a_subject_is_asked_for_once_for_each_app_and_environment(history: History) -> None:
    assert history.ask_for("production", START, WAITS).new
    tag = START._replace(tag="v1.4.0", source="gitlab")
    again = history.ask_for("production", tag, Fate("refused", "no"))
    assert not again.new
    assert (again.kept.source, again.kept.state) == ("github", "waiting")
    assert history.ask_for("production", START._replace(app="cart"), WAITS).new
    assert history.ask_for("europe", START, WAITS).new


def test_two_processes_at_once_ask_once(address: str) -> None:
    open_history(address)
    command = [sys.executable, "-c", RACE, address]
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) for _ in range(2)
    ]
    for it in both:
        assert it.stdout is not None
        assert it.stdout.readline() == "ready\n"
    added = [int(it.communicate("go\n", timeout=60)[0]) for it in both]
    assert sum(added) == 50
    assert len(open_history(address).starts("shop", limit=100)) == 50


def test_a_state_is_changed_by_who_knows_the_one_before(history: History) -> None:
    kept = history.ask_for("production", START, WAITS).kept
    assert kept.run_id is None
    assert history.becomes(kept, Fate("starting", "asked for"))
    assert not history.becomes(kept, Fate("ignored", "too late"))
    [now] = history.starts("shop", "starting")
    assert now.run_id == START.run_id == "push-1111111111111111"


def test_what_was_there_first_is_remembered_and_is_no_start(history: History) -> None:
    newer = Start("shop", "2" * 40, "commit:" + "2" * 40, "2" * 40)
    assert history.first_seen("production", "branch:main", START).subject == START.subject
    assert history.first_seen("production", "branch:main", newer).subject == START.subject
    assert history.first_seen("production", "tags", Start("shop", "", "")).subject == ""
    assert history.starts("shop") == []
    assert history.ask_for("production", START, WAITS).new


def test_releases_are_found_by_version_commit_or_digest(history: History) -> None:
    history.begin("release_shop/a#0", "shop", "release_shop", "a", C1, "alice")
    history.begin("release_cart/a#0", "cart", "release_cart", "a", C1, "alice")
    assert [it.id for it in history.releases_like(START)] == ["release_shop/a#0"]
    assert history.releases_like(START._replace(version="2", commit="2" * 40, subject="commit:2")) == []


def test_a_delivery_is_kept_before_anybody_looks_at_it(history: History) -> None:
    number = history.deliver("shop", "github", "g1", ["a sentence\0"])
    [kept] = history.deliveries("shop", unjudged=True)
    assert (kept.id, kept.name, kept.told, kept.judged_at) == (number, "g1", ["a sentence"], None)
    history.judged(number, "ignored")
    assert history.deliveries(unjudged=True) == []
    assert history.deliveries("shop")[0].sentence == "ignored"


def test_old_pushes_go_and_the_newest_that_had_a_run_and_what_waits_stay(history: History) -> None:
    old = history.at(1000.0)
    old.deliver("shop", "github", "g1", [])
    for n, state in enumerate(("started", "started", "ignored", "waiting")):
        old.ask_for("production", Start("shop", str(n), f"commit:{n}", str(n)), Fate(state, ""))  # type: ignore[arg-type]
    old.first_seen("production", "tags", START)
    history.prune(1)
    assert history.deliveries() == []
    assert [it.version for it in history.starts("shop")] == ["3", "1"]
    assert history.first_seen("production", "tags", Start("shop", "", "")).subject == START.subject


def test_a_history_of_before_gets_the_tables(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    address = f"sqlite:///{tmp_path}/history.db"
    engine = create_engine(address)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", "release_pipelines.adapters.history:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        connection.execute(
            text(
                "INSERT INTO releases (id, app, dag_id, run_id, version, started_at, schema_version) VALUES ('a', 'shop', 'd', 'r', '1', 1, 2)"
            )
        )
    history = open_history(address)
    assert history.ask_for("production", START, WAITS).new
    assert [it.id for it in history.releases("shop")] == ["a"]
