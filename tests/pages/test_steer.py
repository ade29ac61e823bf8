"""Buttons and their dialog in a browser: what is sent, what is said of it, and what an update of the page leaves alone."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from fastapi import FastAPI

from release_pipelines.adapters.history import History
from tests.pages import people
from tests.pages.conftest import PREFIX, token_of
from tests.pages.test_commands import DAG, RUN, at_step, taken_up
from tests.pages.test_commands import files as files
from tests.pages.test_commands import release as release

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 60_000
"""Time in which a browser does what it is asked for, in milliseconds: other tests may run beside."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium is installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE * 2)
        yield made
        made.close()


@pytest.fixture
def site(server: FastAPI, release: str) -> Iterator[str]:
    """The address below which the pages are."""
    server.get("/favicon.ico")(lambda: None)  # as Airflow has one
    config = uvicorn.Config(server, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    one, listening = uvicorn.Server(config), config.bind_socket()
    thread = threading.Thread(target=one.run, args=([listening],), daemon=True)
    thread.start()
    until = time.monotonic() + PATIENCE / 1000
    while not one.started:
        assert time.monotonic() < until, "the server does not start"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}{PREFIX}"
    one.should_exit = one.force_exit = True
    thread.join(30)


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    """The release's page before bob, who may approve."""
    people.READ["bob"] = people.RUN["bob"] = {DAG}
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    context.add_cookies([{"name": "_token", "value": token_of("bob"), "url": site}])
    shown, wrong = context.new_page(), []
    shown.on("pageerror", lambda it: wrong.append(str(it)))
    shown.goto(f"{site}/runs/{DAG}/{RUN}")
    yield shown
    context.close()
    assert wrong == []


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
    config = uvicorn.Config(here, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    one, listening = uvicorn.Server(config), config.bind_socket()
    thread = threading.Thread(target=one.run, args=([listening],), daemon=True)
    thread.start()
    try:
        page.goto(f"http://127.0.0.1:{listening.getsockname()[1]}/")
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
    finally:
        one.should_exit = one.force_exit = True
        thread.join(30)
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
