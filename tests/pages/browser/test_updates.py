"""What updates do, and what they leave alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from release_pipelines.adapters.history import History
from release_pipelines.pages.release import PARTS
from tests.pages import people
from tests.pages.desk import RELEASE

SECTIONS = "() => [...document.querySelectorAll('article > section')].map((it) => it.id)"

READER = """() => ({
  focus: document.activeElement.name, typed: document.activeElement.value, caret: document.activeElement.selectionStart,
  menu: document.querySelector("#menu").open, chosen: document.querySelector("select").value,
  more: document.querySelector("textarea").value, scroll: document.querySelector("#scroll").scrollTop, page: scrollY,
  order: [...document.querySelectorAll("#rows tr")].map((it) => it.dataset.key).filter((it) => !it.startsWith("new")).join(""),
})"""


def test_what_is_new_shows_by_itself(site: str, signed_in: Callable[..., Any], history: History) -> None:
    page = signed_in().new_page()
    page.goto(f"{site}/desk")
    page.get_by_text("after 0 events").wait_for()
    history.record_event(RELEASE, "traffic", "step_10: the canary has 10 % of the traffic", "production")
    page.get_by_text("after 1 events").wait_for()
    assert page.locator("#connection").is_hidden()
    assert page.locator("#still").count() == 0


def test_sixty_updates_leave_focus_text_menu_scroll_and_order_to_the_reader(
    site: str, signed_in: Callable[..., Any], history: History
) -> None:
    page = signed_in().new_page()
    page.set_viewport_size({"width": 800, "height": 300})
    page.goto(f"{site}/desk")
    page.locator("#still").wait_for(state="detached")
    page.evaluate(
        """() => {
          const scroll = document.querySelector("#scroll");
          scroll.style.height = "90px"; scroll.style.overflow = "auto"; scroll.scrollTop = 333; scrollTo(0, 40);
          const rows = document.querySelector("#rows");
          rows.append(...[..."cab"].map((it) => rows.querySelector(`[data-key=${it}]`)));
        }"""
    )
    page.locator("summary").click()
    page.locator("select").select_option("later")
    page.locator("textarea").fill("half a")
    page.locator("input[name=reason]").fill("it is slow bec")
    page.evaluate("document.activeElement.setSelectionRange(3, 3)")
    before = page.evaluate(READER)
    assert before["order"] == "cab"
    assert before["scroll"] > 0
    for number in range(60):
        history.record_event(RELEASE, "note", f"{number}")
        if number % 10 == 9:
            page.get_by_text(f"after {number + 1} events").wait_for()
            assert page.evaluate(READER) == before
    assert page.locator("#menu p").inner_text() == "60"
    assert page.locator("[data-key=a] td").inner_text() == "60"
    assert page.locator("[data-key^=new]").count() == 0


def test_a_selection_stays_while_the_text_beside_it_changes(
    site: str, signed_in: Callable[..., Any], history: History
) -> None:
    page = signed_in().new_page()
    page.goto(f"{site}/desk")
    page.locator("#still").wait_for(state="detached")
    page.evaluate(
        "() => { const it = document.querySelector('#quote').firstChild; getSelection().setBaseAndExtent(it, 5, it, 24); }"
    )
    history.record_event(RELEASE, "note", "x")
    page.get_by_text("after 1 events").wait_for()
    assert page.evaluate("getSelection().toString()") == "text stays selected"


def test_the_page_of_a_run_becomes_that_of_its_release_when_it_begins(
    site: str, signed_in: Callable[..., Any], history: History
) -> None:
    people.RUN["alice"] = {"release_cart"}
    page = signed_in().new_page()
    page.goto(f"{site}/runs/release_cart/manual__1")
    page.locator("#still").wait_for(state="detached")
    page.get_by_text("The history knows no release of this run").wait_for()
    page.evaluate("() => { window.dialog = document.getElementById('steer'); }")
    history.begin("release_cart/manual__1#0", "cart", "release_cart", "manual__1", "1.0.0", requester="alice")
    page.get_by_role("heading", name="cart 1.0.0").wait_for()
    page.locator("#nothing").wait_for(state="detached")
    assert page.evaluate(SECTIONS) == [it for it in PARTS if it != "train"]
    assert page.evaluate("window.dialog === document.getElementById('steer')")
    page.locator("button[data-word=abort]").click()
    assert page.locator("#steer-title").inner_text().startswith("Abort: cart 1.0.0")
    page.keyboard.press("Escape")
    history.finish("release_cart/manual__1#0", "aborted", "It is over.")
    page.locator("#sentence").get_by_text("It is over.").wait_for()
    page.locator("button[data-word=abort]").wait_for(state="detached")
    assert page.evaluate(SECTIONS) == [it for it in PARTS if it != "train"]
