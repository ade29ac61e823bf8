"""The audit trail as a page: rows of what its reader may see, exports that are what `release audit` writes, and a verification."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from release_pipelines.adapters.history import History
from release_pipelines.cli import app
from release_pipelines.pages import audit as page
from tests.pages.conftest import PREFIX, Client

AUDIT = f"{PREFIX}/audit"
OURS = {"sec-fetch-site": "same-origin"}


@pytest.fixture(autouse=True)
def rows(history: History) -> None:
    history.begin("release_shop/r1", "shop", "release_shop", "r1", "1.0.0", "alice", notes="=1+1")
    history.command("release_shop/r1", "abort", "bob", "wrong prices")
    history.begin("release_cart/r1", "cart", "release_cart", "r1", "7.7.7", "dave", notes="secret sale")


def url_of(history: History) -> str:
    return history._engine.url.render_as_string(hide_password=False)


def cli(history: History, *arguments: str) -> bytes:
    return CliRunner().invoke(app, ["audit", *arguments, "--database", url_of(history)]).stdout_bytes


def test_rows_are_told_newest_first_with_who_what_and_why(as_: Client) -> None:
    html = as_("root", read={"*"}).get(AUDIT).text
    assert html.index("secret sale") < html.index("wrong prices")
    for word in ("bob", "abort", "asked", "7.7.7"):
        assert word in html


def test_only_rows_of_apps_that_may_be_read_are_in_any_byte(as_: Client) -> None:
    alice = as_("alice", read={"release_shop"})
    for address in (
        AUDIT,
        f"{AUDIT}/audit.csv",
        f"{AUDIT}/audit.json",
        f"{AUDIT}?app=cart",
        f"{AUDIT}/audit.csv?app=cart",
    ):
        answer = alice.get(address)
        assert answer.status_code == 200
        for word in ("7.7.7", "dave", "secret sale", "release_cart"):
            assert word not in answer.text, address
    for address in (AUDIT, f"{AUDIT}?app=nothing", f"{AUDIT}?person=dave"):
        assert "cart" not in alice.get(address).text
    html = alice.get(AUDIT).text
    assert "Head:" not in html
    assert "/audit/verify" not in html
    assert "wrong prices" in html


def test_what_may_not_be_read_and_what_does_not_exist_look_the_same(as_: Client) -> None:
    alice = as_("alice", read={"release_shop"})
    cart, none = (re.sub(r'data-now="[0-9.]+"', "", alice.get(f"{AUDIT}?app={it}").text) for it in ("cart", "none"))
    assert cart == none.replace("none", "cart")


def test_rows_that_are_about_no_app_are_for_who_may_read_all(as_: Client, history: History) -> None:
    history.audit("retention", "done", texts={"actor": "keeper"})
    assert "keeper" in as_("root", read={"*"}).get(AUDIT).text
    assert "keeper" not in as_("alice", read={"release_shop"}).get(AUDIT).text
    assert "keeper" in as_("both", read={"release_shop", "release_cart"}).get(AUDIT).text


def test_rows_of_a_rollback_by_hand_belong_to_their_app(as_: Client, history: History) -> None:
    history.begin("release_rollback/x", "cart", "release_rollback", "x", "6.0.0", "dave")
    assert "6.0.0" not in as_("alice", read={"release_shop", "release_rollback"}).get(AUDIT).text
    assert "6.0.0" in as_("carol", read={"release_cart"}).get(AUDIT).text


@pytest.mark.parametrize(
    ("query", "there", "not_there"),
    [
        ("app=shop", "wrong prices", "secret sale"),
        ("person=BOB", "wrong prices", "secret sale"),
        ("action=abort", "wrong prices", "secret sale"),
        ("person=%25", "No row fits", "wrong prices"),
        ("since=2100-01-01", "No row fits", "wrong prices"),
        ("until=2100-01-01", "wrong prices", "No row fits"),
        ("person=dave&action=release", "secret sale", "wrong prices"),
    ],
)
def test_rows_are_found_by_app_person_action_and_span(as_: Client, query: str, there: str, not_there: str) -> None:
    html = as_("root", read={"*"}).get(f"{AUDIT}?{query}").text
    assert there in html
    assert not_there not in html


@pytest.mark.parametrize("query", ["since=yesterday", "since=2026-02-01&until=2026-01-01", "since=9999-99-99"])
def test_a_span_that_is_none_gets_a_sentence(as_: Client, query: str) -> None:
    answer = as_("root", read={"*"}).get(f"{AUDIT}?{query}")
    assert answer.status_code == 422
    assert "expected" in answer.json()["detail"]


def test_older_rows_are_on_further_pages_each_once(as_: Client, history: History) -> None:
    for number in range(120):
        history.audit("skip", "done", app="shop", texts={"reason": f"reason-{number:03}"})
    root, address, seen = as_("root", read={"*"}), f"{AUDIT}?action=skip", []
    for _ in range(3):
        html = root.get(address).text
        seen += [word[:10] for word in html.split('"text">') if word.startswith("reason-")]
        address = AUDIT + html.partition('" rel="next"')[0].rpartition('href="/releases/audit')[2].replace("&amp;", "&")
    assert seen == [f"reason-{number:03}" for number in reversed(range(120))]


@pytest.mark.parametrize(
    ("query", "arguments"),
    [
        ("", ()),
        ("?app=shop", ("shop",)),
        (
            "?since=2020-01-01T00:00Z&until=2100-01-01T00:00Z",
            ("--since", "2020-01-01T00:00Z", "--until", "2100-01-01T00:00Z"),
        ),
    ],
)
def test_exports_are_what_the_command_writes(
    as_: Client, history: History, query: str, arguments: tuple[str, ...]
) -> None:
    root = as_("root", read={"*"})
    for kind, media_type in (("csv", "text/csv; charset=utf-8"), ("json", "application/json")):
        answer = root.get(f"{AUDIT}/audit.{kind}{query}")
        assert answer.content == cli(history, *arguments, f"--{kind}"), kind
        assert answer.headers["content-type"] == media_type
        assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''release-audit.{kind}"


def test_a_spreadsheet_calculates_nothing_and_json_has_everything_unchanged(as_: Client, history: History) -> None:
    texts = {"actor": "=cmd|' /C calc'!A0", "reason": '-2+3 then "ok"', "about": "line one\n=1+1", "address": "@x"}
    history.audit("go", "done", app="shop", texts=texts, data={"weight": "-5"})
    root = as_("root", read={"*"})
    said = root.get(f"{AUDIT}/audit.csv").content.decode()
    assert ",'=cmd|' /C calc'!A0,go," in said
    assert ',"\'-2+3 then ""ok""","line one\n=1+1",\'@x,' in said
    assert said.count("\r\n") == 5
    row = json.loads(root.get(f"{AUDIT}/audit.json").text)["rows"][-1]
    assert {name: it["value"] for name, it in row["texts"].items()} == texts


def test_an_export_of_all_is_verified_and_one_that_is_filtered_is_a_part(
    as_: Client, history: History, tmp_path: Path
) -> None:
    root, file = as_("root", read={"*"}), tmp_path / "audit.json"

    def verified() -> dict[str, object]:
        return json.loads(cli(history, "--verify", "--file", str(file), "--json"))

    file.write_bytes(root.get(f"{AUDIT}/audit.json").content)
    assert verified()["whole"] is True
    for client, query in ((root, "?person=bob"), (root, "?action=abort"), (as_("alice", read={"release_shop"}), "")):
        file.write_bytes(client.get(f"{AUDIT}/audit.json{query}").content)
        told = verified()
        assert told["whole"] is None
        assert "a part of a trail cannot be verified as a chain" in str(told["remarks"])
        file.write_text(file.read_text().replace("wrong prices", "right prices"))
        assert verified()["breaks"] == ["row 2 was changed"]


def test_a_verification_says_in_words_what_it_found_and_the_trail_keeps_it(as_: Client, history: History) -> None:
    root = as_("root", read={"*"})
    assert "It has not been verified here yet" in root.get(AUDIT).text
    good = root.post(f"{AUDIT}/verify", json={}, headers=OURS).json()
    assert good["sentence"] == "3 rows, nothing of them was changed, removed or inserted."
    assert "elsewhere" in good["parts"]["verified"], "it never says just ok"
    html = root.get(AUDIT).text
    assert "Last verified here" in html
    assert "by root" in html
    with history._write() as connection:
        connection.execute(text("UPDATE release_audit SET action = 'pause' WHERE number = 2"))
    bad = root.post(f"{AUDIT}/verify", json={}, headers=OURS).json()
    assert bad["sentence"] == "4 rows, 1 break."
    assert "Row 2 was changed." in bad["parts"]["verified"]


def test_a_missing_head_is_told_and_stays_missing(as_: Client, history: History) -> None:
    with history._write() as connection:
        connection.execute(text("DELETE FROM release_audit_head"))
    root = as_("root", read={"*"})
    assert "The head is missing" in root.get(AUDIT).text
    assert "The head is missing from the database." in root.post(f"{AUDIT}/verify", json={}, headers=OURS).text
    assert history.audit_head() is None


def test_only_who_may_read_all_verifies_and_one_at_a_time(as_: Client, history: History) -> None:
    assert as_("alice", read={"release_shop"}).post(f"{AUDIT}/verify", json={}, headers=OURS).status_code == 403
    with page._turn:
        answer = as_("root", read={"*"}).post(f"{AUDIT}/verify", json={}, headers=OURS)
    assert answer.status_code == 409
    assert "verified already" in answer.json()["detail"]
    assert len(history.audit_rows()) == 3


def test_who_was_forgotten_is_in_no_row_export_or_search(as_: Client, history: History) -> None:
    history.remark("release_shop/r1", "note", "As Bob said.", "alice")
    history.remark("release_shop/r1", "note", "Mine.", "bob")
    assert history.forget(["bob"], "root") == (2, 2)
    root = as_("root", read={"*"})
    addresses = (AUDIT, f"{AUDIT}/audit.csv", f"{AUDIT}/audit.json", f"{PREFIX}/runs/release_shop/r1/report")
    for address in addresses:
        assert "bob" not in root.get(address).text.lower(), address
    assert "No row fits" in root.get(f"{AUDIT}?person=bob").text
    assert root.post(f"{AUDIT}/verify", json={}, headers=OURS).json()["sentence"].startswith("6 rows, nothing of them")


def test_an_export_that_fails_has_a_status_and_no_half_a_file(
    as_: Client, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(row: object) -> list[object]:
        raise ValueError("it cannot be written")

    monkeypatch.setattr(page.export, "cells", broken)
    with pytest.raises(ValueError, match="cannot be written"):
        as_("root", read={"*"}).get(f"{AUDIT}/audit.csv")


@pytest.mark.parametrize(
    "hostile", ["</td><b>x</b>", "</script><script>document.title='owned'</script>", '"><img src=x>']
)
def test_what_people_wrote_is_text(as_: Client, history: History, hostile: str) -> None:
    history.audit("skip", "done", app="shop", texts=dict.fromkeys(("actor", "reason", "about", "address"), hostile))
    html = as_("root", read={"*"}).get(AUDIT).text
    assert hostile not in html
    assert hostile not in as_("root").get(AUDIT, params={"person": hostile}).text
