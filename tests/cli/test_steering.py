"""A person steers a running release from a terminal."""

from __future__ import annotations

import getpass
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from release_pipelines.adapters.history import History, open_history
from release_pipelines.cli import app
from tests.adapters.history.conftest import artifact

run = CliRunner().invoke

PRODUCTION = """
name: production
platform: container_host
connections: {platform: p, engine: e, registry: r, prometheus: m}
address: {url: "http://127.0.0.1:1"}
approvers: [bob, ann]
"""


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> History:
    """The app shop, whose release 1.2.0 ann has started."""
    include = tmp_path / "include"
    for folder in ("apps", "config"):
        (include / folder).mkdir(parents=True)
    (include / "config" / "base.yaml").write_text("{}\n")
    (include / "config" / "production.yaml").write_text(PRODUCTION)
    (include / "apps" / "shop.yaml").write_text("name: shop\nenvironments: [production]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/history.db")
    history = open_history(f"sqlite:///{tmp_path}/history.db")
    begins(history, "one", "1.2.0")
    return history


def begins(history: History, name: str, version: str, dag: str = "release_shop") -> str:
    history.begin(f"{dag}/{name}#0", "shop", dag, name, version, "ann")
    return f"{dag}/{name}#0"


@contextmanager
def taken_up(history: History, effect: str) -> Iterator[None]:
    """The release answers every command."""
    stopped = threading.Event()

    def answer() -> None:
        while not stopped.wait(0.02):
            for command in history.commands(open_only=True):
                history.answer(command.id, effect)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


@pytest.mark.parametrize(
    "arguments",
    [
        ["pause", "shop"],
        ["resume", "shop"],
        ["skip", "shop", "--by", "bob"],
        ["promote", "shop", "--by", "bob"],
        ["abort", "shop", "--reason", "wrong prices"],
    ],
)
def test_a_command_that_is_taken_up_is_told_by_its_effect(history: History, arguments: list[str]) -> None:
    if arguments[0] == "resume":
        history.command("release_shop/one#0", "pause", "bob")
    with taken_up(history, "It was done."):
        done = run(app, [*arguments, "--wait", "30s"])
    assert (done.exit_code, done.stdout) == (0, "shop 1.2.0: It was done.\n")
    *_, command = history.commands("release_shop/one#0")
    assert command.kind == arguments[0]


def test_who_gives_a_command_is_recorded_the_login_where_nobody_is_named(history: History) -> None:  # R10
    run(app, ["pause", "shop", "--wait", "0s"])
    run(app, ["abort", "shop", "--wait", "0s", "--by", "carol", "--reason", "wrong prices"])
    first, second = history.commands("release_shop/one#0")
    assert (first.by, first.reason) == (getpass.getuser(), None)
    assert (second.by, second.reason) == ("carol", "wrong prices")


def test_a_command_that_is_not_taken_up_in_time_fails_and_stays_open(history: History) -> None:
    done = run(app, ["pause", "shop", "--wait", "0s"])
    assert done.exit_code == 1
    assert done.stderr.startswith("shop 1.2.0: Not answered yet")
    assert len(history.commands(open_only=True)) == 1


def test_programs_get_the_command_with_its_answer(history: History) -> None:
    with taken_up(history, "Paused."):
        done = run(app, ["pause", "shop", "--json", "--by", "ann", "--wait", "30s"])
    given = json.loads(done.stdout)
    assert given["release_id"] == "release_shop/one#0"
    assert (given["kind"], given["by"], given["effect"]) == ("pause", "ann", "Paused.")
    assert given["at"] <= given["answered_at"]
    assert given["answered_at"].endswith("+00:00")
    done = run(app, ["resume", "shop", "--json", "--wait", "0s"])
    assert (done.exit_code, json.loads(done.stdout)["effect"]) == (1, None)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["abort", "shop"], "shop: An abort needs a reason: say why in a few words.\n"),
        (["skip", "shop", "--by", "ann"], "shop: ann may not skip 1.2.0, because it shortens its checks: bob may.\n"),
        (["pause", "shop", "--wait", "soon"], "--wait: found `soon`, expected a time like 5s.\n"),
        (["pause", "release_shop/two"], "The history knows no release and no app release_shop/two.\n"),
    ],
)
def test_what_may_not_be_is_refused_in_a_sentence(history: History, arguments: list[str], why: str) -> None:  # R10, R12
    refused = run(app, arguments)
    assert (refused.exit_code, refused.stderr) == (1, why)
    assert not history.commands()


def test_an_app_without_a_file_is_refused_with_the_place_that_was_looked_in(history: History, tmp_path: Path) -> None:
    refused = run(app, ["pause", "cart"])
    assert refused.stderr.startswith(f"There is no app cart in {tmp_path}/include/apps: ")


def test_a_file_that_is_broken_meanwhile_stops_no_abort(history: History, tmp_path: Path) -> None:  # R12
    (tmp_path / "include" / "apps" / "shop.yaml").write_text("name: shop\nownr: me\n")
    with taken_up(history, "All traffic is back."):
        said = run(app, ["abort", "shop", "--by", "bob", "--reason", "wrong prices", "--wait", "30s"])
    assert (said.exit_code, said.stdout) == (0, "shop 1.2.0: All traffic is back.\n")
    refused = run(app, ["promote", "shop", "--by", "bob"])  # nobody knows who may
    assert (refused.exit_code, refused.stderr.startswith("shop.yaml: ownr: found an unknown key")) == (1, True)
    assert run(app, ["stability", "shop"]).exit_code == 0
    refused = run(app, ["lift", "shop", "1.2.0", "--reason", "a mistake"])
    assert (refused.exit_code, "no valid file here" in refused.stderr) == (1, True)


def test_where_nothing_runs_there_is_nothing_to_steer(history: History) -> None:
    history.finish("release_shop/one#0", "released", "Released.")
    refused = run(app, ["pause", "shop"])
    assert (refused.exit_code, refused.stderr) == (1, "shop: No release is running: there is nothing to pause.\n")
    refused = run(app, ["pause", "release_shop/one#0"])  # by its id
    assert refused.stderr == "shop: No release is running: there is nothing to pause.\n"


def test_of_several_releases_the_one_in_production_is_meant_unless_an_id_says_another(history: History) -> None:  # R2
    newer = begins(history, "two", "1.3.0")
    begins(history, "by-hand", "1.1.0", dag="release_rollback")  # a rollback is no release to steer
    assert run(app, ["pause", "shop", "--wait", "0s"]).stderr.startswith("shop 1.3.0: ")
    history.record_event("release_shop/one#0", "deployed", "1.2.0 on canary", "production")
    history.record_event(newer, "deployed", "1.3.0 on stable", "staging")
    assert run(app, ["pause", "shop", "--wait", "0s"]).stderr.startswith("shop 1.2.0: ")
    assert run(app, ["pause", newer, "--wait", "0s"]).stderr.startswith("shop 1.3.0: ")
    history.record_event(newer, "deployed", "1.3.0 on canary", "production")  # the other one's lease ran out
    assert run(app, ["resume", "shop", "--wait", "0s"]).stderr.startswith("shop 1.3.0: ")


def test_what_people_said_is_part_of_a_releases_story(history: History) -> None:  # R13
    with taken_up(history, "Paused at 10 %."):
        run(app, ["pause", "shop", "--by", "bob", "--reason", "lunch", "--wait", "30s"])
    run(app, ["resume", "shop", "--by", "carol", "--wait", "0s"])
    told = run(app, ["show", "shop"]).stdout
    assert "Commands" in told
    assert [line.split()[2:4] for line in told.splitlines() if "lunch" in line and "after" in line] == [
        ["bob", "pause"]
    ]
    assert "not answered yet" in told


def test_the_stability_of_every_version_is_told_with_its_reason(history: History) -> None:  # R8
    assert run(app, ["stability", "shop"]).stdout == "No release of shop has an image yet.\n"
    elsewhere = run(app, ["stability", "shop", "--environment", "prodution"])
    assert (elsewhere.exit_code, elsewhere.stderr) == (
        1,
        "--environment: found `prodution`, expected one of production, where shop goes.\n",
    )
    history.record_artifact("release_shop/one#0", artifact("1.2.0", "a"))
    history.promoted("release_shop/one#0")
    history.finish("release_shop/one#0", "released", "Released.")
    bad = begins(history, "two", "1.3.0")
    history.record_artifact(bad, artifact("1.3.0", "b"))
    history.command(bad, "abort", "carol", "wrong prices")
    history.finish(bad, "aborted", "Aborted 1.3.0: wrong prices.")
    heading, *rows = run(app, ["stability", "shop"]).stdout.splitlines()
    assert heading.split()[:3] == ["VERSION", "GOOD", "PROMOTED"]
    assert [row.split()[:2] for row in rows] == [["1.3.0", "no"], ["1.2.0", "yes"]]
    assert "carol" in rows[0]
    assert rows[0].endswith("it was never promoted: Aborted 1.3.0: wrong prices.")
    newest, oldest = json.loads(run(app, ["stability", "shop", "--json"]).stdout)
    assert (newest["good"], newest["aborted_by"], oldest["good"], oldest["held"]) == (False, ["carol"], True, 1)


def test_what_speaks_against_a_version_is_lifted_with_who_and_why(history: History) -> None:  # R8
    name = "release_shop/one#0"
    history.record_artifact(name, artifact("1.2.0", "a"))
    history.promoted(name)
    history.finish(name, "released", "Released.")
    bad = begins(history, "two", "1.2.0")
    history.record_artifact(bad, artifact("1.2.0", "a"))
    history.mark(bad, "production", True, "Rolled back 1.2.0: no node was free.")
    history.finish(bad, "rolled_back", "Rolled back 1.2.0: no node was free.")
    lift = ["lift", "shop", "1.2.0", "--environment", "production", "--by", "carol", "--reason", "the cluster was full"]
    assert run(app, ["lift", "shop", "1.2.0", "--environment", "production", "--reason", " "]).exit_code == 1
    assert run(app, lift).stdout == (
        "Lifted: Rolled back 1.2.0: no node was free.\nshop 1.2.0 in production: a rollback may go back to it.\n"
    )
    assert run(app, lift).stdout == "Nothing speaks against shop 1.2.0 in production: nothing was changed.\n"
    assert json.loads(run(app, [*lift, "--json"]).stdout) == {"lifted": [], "good": True}
    [told] = json.loads(run(app, ["stability", "shop", "--environment", "production", "--json"]).stdout)
    [mark] = told["marks"]
    assert (told["good"], mark["lifted_by"], mark["lifted_because"]) == (True, "carol", "the cluster was full")
    unknown = run(app, ["lift", "shop", "9.9.9", "--environment", "production", "--reason", "x"])
    assert (unknown.exit_code, unknown.stderr) == (1, "The history knows no release of shop 9.9.9.\n")


def test_the_help_says_who_may_give_commands() -> None:
    said = " ".join(run(app, ["abort", "--help"]).stdout.split())
    assert "whoever may write there may give it" in said
