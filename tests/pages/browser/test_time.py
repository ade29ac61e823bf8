"""Clocks that are wrong, zones that are chosen, colours that are Airflow's."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.responses import HTMLResponse

from tests.pages import desk

AIRFLOW = """<!doctype html><html lang="en" class="%s"><head><title>Airflow</title></head>
<body><iframe src="/releases/desk" width="900" height="600"></iframe></body></html>"""


SLACK = 20
"""Seconds by which a page of a busy machine may be late; what is wrong is wrong by more."""


def as_text(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def left(text: str) -> int:
    minutes, _, seconds = text.removesuffix(" left").partition(":")
    return 60 * int(minutes) + int(seconds)


@pytest.mark.parametrize("wrong", [7 * 60, -3600], ids=["7 minutes fast", "1 hour slow"])
def test_what_is_left_is_right_whatever_the_browsers_clock_says(
    wrong: float, site: str, signed_in: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = time.time() + 1800
    monkeypatch.setitem(desk.NOW, "until", as_text(ends))
    monkeypatch.setitem(desk.NOW, "since", as_text(time.time() + 1))
    page = signed_in().new_page()
    page.add_init_script(f"{{ const real = Date.now; Date.now = () => real.call(Date) + {wrong * 1000}; }}")
    page.goto(f"{site}/desk")
    page.locator("#still").wait_for(state="detached")
    shown, now = page.locator("#left").inner_text(), time.time()
    assert abs(left(shown) - (ends - now)) < SLACK
    assert not page.locator("#age").inner_text().startswith("-")


def test_after_a_sleep_it_is_right_again(
    site: str, signed_in: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock that the page counts with stands still while the machine sleeps; that of the wall does not."""
    ends = time.time() + 600
    monkeypatch.setitem(desk.NOW, "until", as_text(ends))
    page = signed_in().new_page()
    page.add_init_script(
        """{ const run = performance.now.bind(performance), wall = Date.now.bind(Date);
          window.slept = 0; // it lags behind the server by what the page has slept
          performance.now = () => run() - window.slept; Date.now = () => wall(); }"""
    )
    page.goto(f"{site}/desk")
    page.locator("#still").wait_for(state="detached")
    page.evaluate("window.slept = 90000")
    until = time.monotonic() + 60
    while abs(left(page.locator("#left").inner_text()) - (ends - time.time())) > SLACK:
        assert time.monotonic() < until, "it stays wrong"
        page.wait_for_timeout(500)


def test_times_are_in_the_zone_that_is_chosen_in_airflow_and_name_it(site: str, signed_in: Callable[..., Any]) -> None:
    profile = signed_in(timezone_id="Asia/Kolkata")
    page = profile.new_page()
    page.goto(f"{site}/desk")
    began = page.locator("#began")
    page.get_by_text("Mar 28, 2026, 23:30:00 UTC").wait_for()
    other = profile.new_page()
    other.goto(f"{site}/static/pages.js")
    for zone, text in (
        ('"Europe/Berlin"', "Mar 29, 2026, 00:30:00 Europe/Berlin"),
        ("Asia/Tokyo", "Mar 29, 2026, 08:30:00 Asia/Tokyo"),
        ("America/Los_Angeles", "Mar 28, 2026, 16:30:00 America/Los_Angeles"),
        ("nowhere/at all", "Mar 28, 2026, 23:30:00 UTC"),
    ):
        other.evaluate("(it) => localStorage.setItem('timezone', it)", zone)
        page.get_by_text(text).wait_for()
        assert began.get_attribute("title") == "2026-03-28T23:30:00Z"


@pytest.mark.parametrize("colours", ["dark", "light"])
def test_the_page_has_airflows_colours(colours: str, pages: FastAPI, site: str, signed_in: Callable[..., Any]) -> None:
    pages.get("/airflow")(lambda: HTMLResponse(AIRFLOW % colours))
    page = signed_in().new_page()
    page.goto(f"{site.removesuffix('/releases')}/airflow")
    inside = page.frame_locator("iframe")
    inside.locator("#still").wait_for(state="detached")
    assert inside.locator("html.dark").count() == (1 if colours == "dark" else 0)
    page.evaluate("document.documentElement.classList.toggle('dark')")
    inside.locator("html.dark" if colours == "light" else "html:not(.dark)").wait_for()


def test_a_page_that_is_opened_alone_works_in_the_colours_of_the_system(
    site: str, signed_in: Callable[..., Any]
) -> None:
    page = signed_in(color_scheme="dark").new_page()
    page.goto(f"{site}/desk")
    page.locator("#still").wait_for(state="detached")
    assert page.locator("html").get_attribute("class") == "dark"


def test_without_its_scripts_the_page_reads_and_says_that_it_stays_as_it_is(
    site: str, signed_in: Callable[..., Any]
) -> None:
    page = signed_in(quiet=False).new_page()
    page.route(
        "**/static/live.js", lambda it: it.fulfill(content_type="text/javascript", body="throw new Error('broken')")
    )
    page.goto(f"{site}/desk")
    page.get_by_text("This page does not update itself here").wait_for()
    assert page.get_by_text("This page does not update itself here").is_visible()
    assert "after 0 events" in page.locator("#state").inner_text()
    page.get_by_text("Mar 28, 2026, 23:30:00 UTC").wait_for()  # what is not broken works
