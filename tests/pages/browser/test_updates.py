"""What updates do, and what they leave alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from release_pipelines.adapters.history import History
from tests.pages.desk import RELEASE

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
