"""``release audit``: who did what, as a table, CSV and JSON; and whether it is whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner, Result

from release_pipelines.adapters.history import open_history
from release_pipelines.cli import app
from release_pipelines.core.audit.export import as_csv


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/history.db"
    history = open_history(url)
    history.begin("release_shop/r1#0", "shop", "release_shop", "r1", "1.0.0", "alice", notes="=1+1")
    history.command("release_shop/r1#0", "abort", "bob", "wrong prices")
    history.begin("release_cart/r1#0", "cart", "release_cart", "r1", "1.0.0", "carol")
    return url


def ask(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", "--database", url, *arguments])


def sql(url: str, statement: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))


def test_it_tells_who_did_what_of_one_app_or_all(url: str) -> None:
    assert "wrong prices" in ask(url).stdout
    document = json.loads(ask(url, "shop", "--json").stdout)
    assert [(it["action"], it["texts"]["actor"]["value"]) for it in document["rows"]] == [
        ("release", "alice"),
        ("abort", "bob"),
    ]
    assert json.loads(ask(url, "--since", "2100-01-01", "--json").stdout)["rows"] == []


def test_a_csv_shows_text_and_calculates_nothing(url: str) -> None:
    said = ask(url, "--csv").stdout_bytes.decode()
    assert said.count("\r\n") == 4
    assert ",'=1+1," in said


def test_numbers_stay_numbers_and_formulas_become_text() -> None:
    rows = [
        (7, "=cmd|' /C calc'!A0", '-2+3 then "ok"', "go", -5, -0.5),
        (9, "@bob", "line one\n=1+1", 0, 3),
        (10, "\tbob", "\r=1", 25, 3),
        (11, "bob", "- retry", 5, -1250.5),
    ]  # fmt: skip
    assert as_csv(("seq",), rows).split("\r\n", 1)[1] == (
        '7,\'=cmd|\' /C calc\'!A0,"\'-2+3 then ""ok""",go,-5,-0.5\r\n'
        '9,\'@bob,"line one\n=1+1",0,3\r\n'
        "10,'\tbob,\"'\r=1\",25,3\r\n"
        "11,bob,'- retry,5,-1250.5\r\n"
    )


def test_a_whole_trail_is_whole_and_a_changed_row_is_named(url: str) -> None:
    good = ask(url, "--verify")
    assert good.exit_code == 0
    assert "3 rows, nothing of them was changed" in good.stdout
    assert "kept elsewhere" in good.stdout
    sql(url, "UPDATE release_audit SET action = 'pause' WHERE number = 2")
    bad = ask(url, "--verify", "--json")
    assert bad.exit_code == 1
    assert json.loads(bad.stdout)["breaks"] == ["row 2 was changed"]


def test_a_cut_end_is_found_by_the_head_that_was_noted(url: str) -> None:
    head = ask(url).stdout.rsplit("Head: ", 1)[1].strip()
    sql(url, "DELETE FROM release_audit WHERE number = 3")
    sql(
        url,
        "UPDATE release_audit_head SET number = 2, count = 2, hash = (SELECT hash FROM release_audit WHERE number = 2)",
    )
    assert ask(url, "--verify").exit_code == 0, "it cannot know, and says so"
    bad = ask(url, "--verify", "--head", head)
    assert bad.exit_code == 1
    assert "2 rows, the head of elsewhere says 3" in bad.stdout


def test_an_export_is_verified_as_json_and_not_as_csv(url: str, tmp_path: Path) -> None:
    export = tmp_path / "audit.json"
    export.write_text(ask(url, "--json").stdout)
    assert ask(url, "--verify", "--file", str(export)).exit_code == 0
    export.write_text(export.read_text().replace("wrong prices", "right prices"))
    assert "Row 2 was changed." in ask(url, "--verify", "--file", str(export)).stdout
    export.write_text(ask(url, "--csv").stdout)
    bad = ask(url, "--verify", "--file", str(export))
    assert bad.exit_code == 1
    assert "a CSV is for people" in bad.stderr


def test_a_person_is_forgotten_everywhere_and_the_trail_stays_whole(url: str) -> None:
    said = CliRunner().invoke(app, ["forget", "bob", "--by", "carol", "--database", url])
    assert "1 row" in said.stdout
    assert "bob" not in ask(url, "--json").stdout
    assert ask(url, "--verify").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(("--since", "yesterday"), "expected a day"), (("--verify", "--head", "x"), "HASH:COUNT"), (("--file", "a"), "--verify")],
)  # fmt: skip
def test_bad_options_get_one_sentence(url: str, arguments: tuple[str, ...], expected: str) -> None:
    bad = ask(url, *arguments)
    assert bad.exit_code == 1
    assert expected in bad.stderr
