"""A connection that is lost, a login that is over, many tabs, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from release_pipelines.adapters.history import History
from tests.pages.conftest import PREFIX, token_of
from tests.pages.desk import RELEASE
from tests.pages.serving import Wire, served

LISTEN = """() => {
  window.heard = [];
  for (const id of ["said", "called"]) {
    const place = document.getElementById(id);
    new MutationObserver(() => place.textContent && window.heard.push([id, place.textContent])).observe(
      place, { childList: true, characterData: true, subtree: true });
  }
}"""


@pytest.fixture
def wire(pages: FastAPI) -> Iterator[Wire]:
    with served(pages) as port:
        made = Wire(port)
        yield made
        made.close()


def opened(page: Any, port: int) -> Any:
    page.goto(f"http://127.0.0.1:{port}{PREFIX}/desk")
    page.locator("#still").wait_for(state="detached")
    page.locator("#connection").wait_for(state="hidden")  # it has loaded: what comes from now on is new to it
    page.wait_for_timeout(1200)
    return page


def step(history: History, weight: int) -> None:
    told = {"weight": weight}
    history.record_event(RELEASE, "traffic", f"the canary has {weight} % of the traffic", "production", told)


def test_a_screen_reader_says_each_change_once_and_no_number(
    wire: Wire, signed_in: Callable[..., Any], history: History
) -> None:
    page = opened(signed_in(quiet=False).new_page(), wire.port)
    page.evaluate(LISTEN)
    step(history, 10)
    for kind in ("pause", "resume"):
        history.answer(history.command(RELEASE, kind, "bob").id, f"It is {kind}d.")  # type: ignore[arg-type]
    history.record_event(RELEASE, "asked", "Approve 1.0.0?")
    page.get_by_text("after 4 events").wait_for()
    for number in range(3):  # evidence moves
        history.record_event(RELEASE, "note", f"{number}")
        page.get_by_text(f"after {5 + number} events").wait_for()
    wire.cut()
    page.get_by_text("No connection since").wait_for()
    history.finish(RELEASE, "released", "It is released.")
    wire.mend()
    page.locator("#connection").wait_for(state="hidden")
    page.wait_for_function("() => window.heard.length >= 7")
    page.wait_for_timeout(2500)  # for what must not come
    heard = page.evaluate("window.heard")
    assert sorted(heard) == sorted(
        [
            ["said", "The next step has begun."],
            ["said", "Paused by bob."],
            ["said", "Resumed by bob."],
            ["called", "Your answer is needed: it waits for its approval."],
            ["said", "The connection is lost."],
            ["said", "The connection is back."],
            ["said", "It is released."],
        ]
    )
    assert not any(letter.isdigit() for _, text in heard for letter in text)


@pytest.mark.parametrize("kind", ["ends", "falls silent"])
def test_a_lost_connection_is_said_and_what_was_missed_is_there_once_afterwards(
    kind: str, wire: Wire, signed_in: Callable[..., Any], history: History
) -> None:
    page = opened(signed_in(quiet=False).new_page(), wire.port)
    step(history, 10)
    page.get_by_text("after 1 events").wait_for()
    if kind == "ends":
        wire.cut()
    else:
        wire.silence()
    page.get_by_text("No connection since").wait_for()
    said = page.locator("#connection").inner_text()
    assert "shown is" in said
    assert said.count("UTC") == 2
    assert page.evaluate("document.documentElement.hasAttribute('data-old')")
    assert "10 %" in page.locator("#timeline").inner_text()  # nothing is cleared
    step(history, 25)
    step(history, 50)
    wire.silence(False)
    wire.mend()
    page.get_by_text("after 3 events").wait_for()
    page.locator("#connection").wait_for(state="hidden")
    weights = [it.split(" has ")[1].split(" ")[0] for it in page.locator("#timeline li").all_inner_texts()]
    assert weights == ["10", "25", "50"]
    assert not page.evaluate("document.documentElement.hasAttribute('data-old')")


def test_a_login_that_is_over_is_said_and_taken_up_again(
    wire: Wire, signed_in: Callable[..., Any], history: History
) -> None:
    profile = signed_in(quiet=False)
    page = opened(profile.new_page(), wire.port)
    profile.clear_cookies()
    wire.cut()
    wire.mend()
    page.locator("#connection", has_text="Your login is over").wait_for()
    assert "Weight" in page.locator("#state").inner_text()
    profile.add_cookies([{"name": "_token", "value": token_of("alice"), "url": "http://127.0.0.1"}])
    step(history, 10)
    page.get_by_text("after 1 events").wait_for()
    assert page.locator("#connection").is_hidden()


def test_seven_tabs_of_one_browser_are_all_kept_up_to_date(
    site: str, signed_in: Callable[..., Any], history: History
) -> None:
    profile = signed_in()
    tabs = [profile.new_page() for _ in range(7)]
    for it in tabs:
        it.goto(f"{site}/desk")
    for number in (1, 2):
        step(history, number)
        for it in tabs:
            it.get_by_text(f"after {number} events").wait_for()
            assert it.locator("#connection").is_hidden()
    # Airflow itself still has a connection.
    assert tabs[0].evaluate(f"fetch('{site}/static/pages.js').then((it) => it.status)") == 200
