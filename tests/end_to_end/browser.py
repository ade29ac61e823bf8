"""Airflow's pages as a person sees them."""

from __future__ import annotations

import shutil
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandbox.settings import AIRFLOW, DAG_ID

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 90_000  # milliseconds: on a busy machine a page takes its time


@contextmanager
def signed_in(user: str) -> Iterator[Page]:
    """A browser in which ``user`` has signed in."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(PATIENCE)
        page.goto(AIRFLOW)
        page.locator("input[name=username]").fill(user)
        page.locator("input[name=password]").fill(user)
        page.locator("button[type=submit]").click()
        page.get_by_role("link", name="Dags").first.wait_for()
        yield page
        browser.close()


def run_page(run_id: str, below: str = "") -> str:
    """Address of a run's page."""
    return f"{AIRFLOW}/dags/{DAG_ID}/runs/{urllib.parse.quote(run_id, safe='')}{below}"
