"""``release remark``: people add to a release, and read it again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from release_pipelines.adapters.history import open_history
from release_pipelines.cli import app

RELEASE = "release_shop/r1"


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/history.db"
    open_history(url).begin(RELEASE, "shop", "release_shop", "r1", "1.2.0", "alice")
    return url


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--database", url])


@pytest.mark.parametrize("which", ["shop", RELEASE])
def test_a_remark_is_added_by_app_or_id_and_read_again(url: str, which: str) -> None:
    said = run(url, "remark", which, "--about", "happened", "The queue was longer.", "--by", "bob")
    assert (said.exit_code, said.stdout) == (0, "shop 1.2.0: the remark was added.\n")
    shown = run(url, "show", "shop").stdout
    assert "The queue was longer." in shown
    [told] = json.loads(run(url, "show", "shop", "--json").stdout)["remarks"]
    assert (told["by"], told["about"], told["text"]) == ("bob", "happened", "The queue was longer.")
    assert [it["action"] for it in json.loads(run(url, "audit", "--json").stdout)["rows"]] == ["release", "remark"]


def test_it_is_json_for_programs(url: str) -> None:
    told = json.loads(run(url, "remark", "shop", "--about", "note", "x", "--by", "bob", "--json").stdout)
    assert (told["release"], told["by"], told["about"], told["text"]) == (RELEASE, "bob", "note", "x")
    assert told["at"].endswith("+00:00")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("shop", "--about", "rumour", "x"), "one of expected, happened, note, found `rumour`"),
        (("shop", "--about", "note", "  "), "needs a text"),
        (("shop", "--about", "note", "x" * 4001), "at most 4000 characters, found 4001"),
        (("shopp", "--about", "note", "x"), "Did you mean shop?"),
    ],
)
def test_what_is_no_remark_gets_one_sentence(url: str, arguments: tuple[str, ...], expected: str) -> None:
    bad = run(url, "remark", *arguments, "--by", "bob")
    assert bad.exit_code == 1
    assert expected in bad.stderr
    assert open_history(url).remarks(RELEASE) == []


def test_a_person_is_forgotten_in_remarks_too(url: str) -> None:
    history = open_history(url)
    history.remark(RELEASE, "note", "As Bob said.", "alice")
    history.remark(RELEASE, "note", "Mine.", "bob")
    said = run(url, "forget", "bob", "--by", "carol")
    assert said.stdout == "Forgot texts in 1 row and 2 remarks.\n"
    assert "bob" not in run(url, "show", "shop").stdout.lower()
    assert "bob" not in run(url, "show", "shop", "--json").stdout.lower()
    assert [(it.by, it.text) for it in history.remarks(RELEASE)] == [
        ("alice", "(forgotten)"),
        ("(forgotten)", "Mine."),
    ]
    assert run(url, "audit", "--verify").exit_code == 0
