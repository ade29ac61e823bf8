"""Buttons and their dialog in a browser: what is sent, what is said of it, and what an update of the page leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI

from release_pipelines.adapters.history import History
from tests.pages import people
from tests.pages.serving import served
from tests.pages.test_commands import DAG, RUN, at_step, taken_up
from tests.pages.test_commands import files as files
from tests.pages.test_commands import release as release

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page


@pytest.fixture
def page(site: str, signed_in: Callable[..., BrowserContext]) -> Page:
    """The release's page before bob, who may approve; a command that is refused shows in its console."""
    people.READ["bob"] = people.RUN["bob"] = {DAG}
    shown = signed_in("bob", quiet=False).new_page()
    shown.goto(f"{site}/runs/{DAG}/{RUN}")
    return shown


def opened(page: Page, word: str) -> None:
    page.click(f"button[data-word={word}]")
    page.wait_for_selector("#steer[open]")


def said(page: Page, where: str) -> str:
    page.wait_for_selector(f"#{where}:not(:empty)", state="attached")
    return page.text_content(f"#{where}") or ""


def test_an_abort_names_what_it_ends_needs_a_reason_and_tells_what_it_did(
    page: Page, history: History, release: str
) -> None:
    opened(page, "abort")
    assert page.text_content("#steer-title") == "Abort: shop 1.1.0 in production, at step_10 (10 %)"
    page.click("#steer-give")
    assert page.is_visible("#steer[open]")  # the browser itself asks for a reason
    assert not history.commands()
    page.fill("#steer-reason", "wrong prices")
    with taken_up(history, "All traffic is back on stable."):
        page.click("#steer-give")
        assert said(page, "steer-said") == "bob: All traffic is back on stable."
    assert not page.is_visible("#steer")
    [command] = history.commands(release)
    assert (command.kind, command.by, command.reason) == ("abort", "bob", "wrong prices")


def test_a_refusal_is_said_in_the_dialog_and_the_button_works_again(page: Page, history: History, release: str) -> None:
    opened(page, "skip")
    at_step(history, release, "step_25", 25)
    for _ in range(2):
        page.click("#steer-give")
        page.wait_for_selector("#steer-give:not([aria-busy])")
        assert said(page, "steer-refused") == "It is at step_25 (25 %) now, you saw step_10."
    assert page.is_visible("#steer[open]")
    assert not history.commands()
    page.click("#steer-leave")
    assert page.evaluate("document.activeElement.id") == "steer-skip"


def test_without_a_connection_the_dialog_says_so_and_the_button_works_again(
    page: Page, history: History, release: str
) -> None:
    opened(page, "pause")
    page.context.set_offline(True)
    page.click("#steer-give")
    assert said(page, "steer-refused").startswith("There was no answer")
    page.context.set_offline(False)
    with taken_up(history, "The clock of step_10 stands still."):
        page.click("#steer-give")
        assert said(page, "steer-said") == "bob: The clock of step_10 stands still."
    assert [it.kind for it in history.commands(release)] == ["pause"]


def test_an_update_of_the_page_leaves_dialog_focus_and_typed_reason_alone(
    page: Page, history: History, release: str
) -> None:
    opened(page, "abort")
    page.fill("#steer-reason", "wrong pri")
    page.evaluate(
        """() => {
          const part = document.getElementById("actions");
          part.outerHTML = part.outerHTML.replaceAll("step_10", "step_25").replaceAll("1.1.0", "9.9.9");
        }"""
    )
    assert page.is_visible("#steer[open]")
    assert page.input_value("#steer-reason") == "wrong pri"
    assert page.evaluate("document.activeElement.id") == "steer-reason"
    assert page.text_content("#steer-title") == "Abort: shop 1.1.0 in production, at step_10 (10 %)"
    page.keyboard.type("ces")
    with taken_up(history, "All traffic is back on stable."):
        page.click("#steer-give")
        said(page, "steer-said")
    [command] = history.commands(release)
    assert command.reason == "wrong prices"


def test_a_page_next_door_cannot_make_its_reader_abort(page: Page, site: str, history: History, release: str) -> None:
    where = f"{site}/runs/{DAG}/{RUN}/commands"
    here = FastAPI()
    here.get("/")(lambda: None)
    with served(here) as port:
        page.goto(f"http://127.0.0.1:{port}/")
        sent: Any = page.evaluate(
            """async (where) => {
              const told = JSON.stringify({kind: "abort", reason: "x", seen: {release: "release_shop/manual__1#0"}});
              const post = (more) => fetch(where, {method: "POST", credentials: "include", body: told, ...more})
                .then((it) => it.type, () => "stopped");
              return [
                await post({mode: "no-cors", body: new Blob([told])}),
                await post({mode: "no-cors", headers: {"Content-Type": "text/plain"}}),
                await post({headers: {"Content-Type": "application/json"}}),
              ];
            }""",
            where,
        )
        assert sent == ["opaque", "opaque", "stopped"]
    assert not history.commands()
    assert [it.phase for it in history.audit_rows() if it.action == "abort"] == []


@pytest.mark.parametrize("width", [1440, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_the_dialog_fits_and_can_be_read(page: Page, width: int, dark: bool) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.evaluate(f"document.documentElement.classList.toggle('dark', {str(dark).lower()})")
    opened(page, "abort")
    box = page.locator("#steer").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
