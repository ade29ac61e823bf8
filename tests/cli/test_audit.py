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


def breaks(url: str, *arguments: str) -> list[str]:
    said = ask(url, "--verify", "--json", *arguments)
    found = json.loads(said.stdout)
    assert said.exit_code == (0 if found["whole"] else 1)
    return found["breaks"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "change",
    [
        "count = 0",
        "count = 1",
        "count = 9",
        "count = 'abc'",
        "count = 0, hash = (SELECT hash FROM release_audit WHERE number = 1)",
        "count = 2, number = 2, hash = (SELECT hash FROM release_audit WHERE number = 2)",
        f"count = 0, hash = '{'0' * 64}'",
        f"hash = '{'a' * 64}'",
        "hash = 7",
    ],
)
def test_a_head_that_does_not_fit_the_rows_is_a_break_and_stops_nobody(url: str, change: str) -> None:
    sql(url, f"UPDATE release_audit_head SET {change}")
    assert len(breaks(url)) == 1
    assert ask(url).exit_code == 0
    open_history(url).command("release_shop/r1#0", "pause", "bob")
    assert breaks(url), "what was wrong stays told"
    assert ask(url, "--csv").stdout.count("pause") == 1


def test_a_missing_head_is_a_break_and_a_sentence_and_stops_nobody(url: str) -> None:
    sql(url, "DELETE FROM release_audit_head")
    assert breaks(url) == ["the head is missing from the database"]
    for command in (["audit"], ["audit", "--json"], ["forget", "bob"], ["prune", "--older-than", "1d", "--audit"]):
        said = CliRunner().invoke(app, [*command, "--database", url])
        assert (said.exit_code, said.stderr.count("missing from the database"), said.stderr.count("\n")) == (1, 1, 1)
    assert "bob" in ask(url, "--csv").stdout, "nothing was removed"
    open_history(url).command("release_shop/r1#0", "pause", "bob")
    assert breaks(url) == [
        "the head was missing or did not fit when row 4 was written: rows may have been cut off before it"
    ]
    assert CliRunner().invoke(app, ["forget", "bob", "--database", url]).exit_code == 0


@pytest.mark.parametrize("given", ["a" * 64 + ":0", "a" * 64 + ":3", "0" * 64 + ":3"])
def test_a_head_that_never_was_is_a_break(url: str, given: str) -> None:
    assert len(breaks(url, "--head", given)) == 1


@pytest.mark.parametrize(
    "damage",
    [*(f"{column} = '{value}'" for column in ("data", "seals") for value in ("{", '"x"', "[]", "7", '{"a": 1}')),
     "at = 'abc'", "at = 9000000000000000000", "at = -9000000000000000000", "at = 1e300", "at = x'ff'",
     "action = x'ff'", "data = x'ff'"],
)  # fmt: skip
def test_a_damaged_row_is_named_shown_and_hides_no_other(url: str, damage: str, tmp_path: Path) -> None:
    sql(url, "UPDATE release_audit SET action = 'pause' WHERE number = 3")
    sql(url, "UPDATE release_audit SET " + damage.replace(":", "\\:") + " WHERE number = 2")
    assert breaks(url) == ["row 2 was changed", "row 3 was changed"]
    for as_what in ([], ["--csv"]):
        said = ask(url, *as_what)
        assert said.exit_code == 0, said.output
        assert "damaged" in said.stdout
    export = tmp_path / "audit.json"
    export.write_text(ask(url, "--json").stdout)
    assert breaks(url, "--file", str(export)) == ["row 2 was changed", "row 3 was changed"]


@pytest.mark.parametrize("part", [("shop",), ("--since", "2020-01-01"), ("shop", "--until", "2100-01-01")])
def test_an_export_of_a_part_says_so_and_is_verified_row_by_row(
    url: str, part: tuple[str, ...], tmp_path: Path
) -> None:
    export = tmp_path / "audit.json"
    export.write_text(ask(url, *part, "--json").stdout)
    assert json.loads(export.read_text())["part"]["app"] == ("shop" if "shop" in part else None)
    good = ask(url, "--verify", "--file", str(export))
    assert good.exit_code == 0
    assert "none of them was changed." in good.stdout
    assert "A part of a trail cannot be verified as a chain" in good.stdout
    assert json.loads(ask(url, "--verify", "--file", str(export), "--json").stdout)["whole"] is None
    assert "--head" in ask(url, "--verify", "--file", str(export), "--head", "a" * 64 + ":0").stderr
    export.write_text(export.read_text().replace("wrong prices", "right prices"))
    bad = ask(url, "--verify", "--file", str(export))
    assert (bad.exit_code, "Row 2 was changed." in bad.stdout) == (1, True)


def test_an_export_of_all_is_whole_after_somebody_was_forgotten_and_old_rows_left(url: str, tmp_path: Path) -> None:
    CliRunner().invoke(app, ["forget", "bob", "--by", "carol", "--database", url])
    export = tmp_path / "audit.json"
    export.write_text(ask(url, "--json").stdout)
    assert breaks(url, "--file", str(export)) == []
    sql(url, "UPDATE release_audit_head SET count = 3")
    export.write_text(ask(url, "--json").stdout)
    assert breaks(url, "--file", str(export)) == ["the head of the export says 3 where 4 rows had been written"]


def test_one_row_is_one_row(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/one.db"
    open_history(url).audit("skip", "done")
    assert ask(url, "--verify").stdout.startswith("1 row, nothing")


def test_an_app_that_nobody_knows_is_a_sentence(url: str) -> None:
    said = ask(url, "shopp")
    assert (said.exit_code, "Did you mean shop?" in said.stderr) == (1, True)
    assert ask(url, "shop", "--since", "2100-01-01").stdout == "Nothing yet.\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("shop", "--verify"), "--verify"),
        (("--verify", "--since", "2026-11-01"), "--verify"),
        (("--verify", "--until", "2026-11-01"), "--verify"),
        (("--json", "--csv"), "one of them"),
        (("--verify", "--csv"), "--csv"),
        (("--since", "2026-11-02", "--until", "2026-11-01"), "earlier"),
    ],
)
def test_options_that_do_not_go_together_are_refused(url: str, arguments: tuple[str, ...], expected: str) -> None:
    bad = ask(url, *arguments)
    assert (bad.exit_code, bad.stdout, bad.stderr.count("\n")) == (1, "", 1)
    assert expected in bad.stderr
