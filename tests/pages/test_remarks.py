"""What people add to a release: with their name, never changed, taken back by who wrote it alone."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from release_pipelines.adapters.history import History
from tests.pages.conftest import PREFIX, Client

RELEASE = "release_shop/manual__1"
HERE = f"{PREFIX}/runs/{RELEASE}/remarks"
OURS = {"sec-fetch-site": "same-origin"}


@pytest.fixture(autouse=True)
def release(history: History) -> None:
    history.begin(RELEASE, "shop", "release_shop", "manual__1", "1.2.0", "alice", notes="Prices in euro.")


def add(client: TestClient, text: str, about: str = "note", **more: Any) -> Any:
    return client.post(HERE, json={"about": about, "text": text, **more}, headers=OURS)


def test_a_remark_is_shown_with_name_and_time_and_kept_in_the_trail(as_: Client, history: History) -> None:
    alice = as_("alice", read={"release_shop"}, run={"release_shop"})
    answer = add(alice, "The queue was longer than we thought.", "happened")
    assert answer.status_code == 200
    [kept] = history.remarks(RELEASE)
    assert (kept.by, kept.about, kept.text) == ("alice", "happened", "The queue was longer than we thought.")
    html = alice.get(f"{PREFIX}/runs/{RELEASE}/report").text
    assert "The queue was longer than we thought." in html
    assert "The queue was longer than we thought." in answer.json()["parts"]["remarks"]
    [row] = history.audit_rows()[1:]
    assert (row.action, row.phase, row.texts["actor"].value) == ("remark", "done", "alice")


def test_what_was_expected_and_what_happened_stand_beside_the_notes(as_: Client, history: History) -> None:
    history.finish(RELEASE, "released", "It serves everybody.")
    html = as_("alice", read={"release_shop"}).get(f"{PREFIX}/runs/{RELEASE}/report").text
    assert "Prices in euro." in html
    assert "It serves everybody." in html


def test_who_may_not_run_the_dag_adds_nothing(as_: Client, history: History) -> None:
    reader, stranger = as_("carol", read={"release_shop"}, run=set()), as_("mallory", read={"release_cart"}, run={"*"})
    assert add(reader, "x").status_code == 403
    assert add(stranger, "x").status_code == 403
    assert "<form" not in reader.get(f"{PREFIX}/runs/{RELEASE}/report").text
    assert history.remarks(RELEASE) == []
    assert len(history.audit_rows()) == 1


def test_only_who_wrote_a_remark_takes_it_back_and_the_trail_keeps_that(as_: Client, history: History) -> None:
    alice = as_("alice", read={"release_shop"}, run={"release_shop"})
    bob = as_("bob", read={"release_shop"}, run={"release_shop"})
    add(alice, "Secret plans.")
    [kept] = history.remarks(RELEASE)
    there = f"{HERE}/{kept.id}"
    refused = bob.request("DELETE", there, json={}, headers=OURS)
    assert (refused.status_code, refused.json()["detail"]) == (403, "Only who wrote a remark may take it back.")
    assert "Take back" not in bob.get(f"{PREFIX}/runs/{RELEASE}/report").text
    assert alice.request("DELETE", there, json={}, headers=OURS).status_code == 200
    assert alice.request("DELETE", there, json={}, headers=OURS).status_code == 404
    assert history.remarks(RELEASE) == []
    rows = history.audit_rows()
    assert [it.action for it in rows] == ["release", "remark", "remark_taken_back"]
    assert all("Secret plans." not in (text.value or "") for it in rows for text in it.texts.values())


def test_a_remark_of_another_release_is_not_reached_through_this_one(as_: Client, history: History) -> None:
    history.begin("release_cart/r1", "cart", "release_cart", "r1", "1.0.0", "dave")
    other = history.remark("release_cart/r1", "note", "cart's own", "alice")
    alice = as_("alice", read={"release_shop"}, run={"release_shop"})
    assert alice.request("DELETE", f"{HERE}/{other.id}", json={}, headers=OURS).status_code == 404
    assert len(history.remarks("release_cart/r1")) == 1


def test_a_double_click_is_one_remark(as_: Client, history: History) -> None:
    alice = as_("alice", read={"release_shop"}, run={"release_shop"})
    assert [add(alice, "Twice.").status_code for _ in range(2)] == [200, 200]
    assert len(history.remarks(RELEASE)) == 1
    assert len(history.audit_rows()) == 2


@pytest.mark.parametrize("change", [{"text": "  "}, {"text": "x" * 4001}, {"about": "rumour"}, {"by": "bob"}])
def test_what_is_no_remark_is_refused(as_: Client, history: History, change: dict[str, str]) -> None:
    alice = as_("alice", read={"release_shop"}, run={"release_shop"})
    body = {"about": "note", "text": "x", **change}
    assert alice.post(HERE, json=body, headers=OURS).status_code == 422
    assert history.remarks(RELEASE) == []


def test_a_page_of_somebody_else_adds_nothing(as_: Client, history: History) -> None:
    alice = as_("alice", read={"release_shop"}, run={"release_shop"})
    for headers in ({}, {"origin": "http://airflow.example:9000"}, {"origin": "null"}):
        assert alice.post(HERE, json={"about": "note", "text": "x"}, headers=headers).status_code == 403
    assert history.remarks(RELEASE) == []


@pytest.mark.parametrize(
    "text", ["</p><b>x</b>", "<script>document.title='owned'</script>", "<!--<script>", '"><img src=x>']
)
def test_a_remark_is_text(as_: Client, text: str) -> None:
    alice = as_("alice", read={"release_shop"}, run={"release_shop"})
    assert text not in add(alice, text).json()["parts"]["remarks"]
    html = alice.get(f"{PREFIX}/runs/{RELEASE}/report").text
    assert text not in html
    assert "&lt;" in html
