"""A real browser before the pages, as they are served."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI

from release_pipelines.adapters.history import History
from tests.pages import people
from tests.pages.conftest import PREFIX, token_of
from tests.pages.desk import RELEASE, router
from tests.pages.serving import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

PATIENCE = 60_000
"""Time in which a browser does what it is asked for, in milliseconds: other tests may run beside."""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Closed with the last of these tests: while it is open, no other test of this process can run an event loop."""
    if CHROMIUM is None:
        pytest.skip("no chromium is installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=2 * PATIENCE)
        yield made
        made.close()


@pytest.fixture
def release(history: History) -> str:
    history.begin(RELEASE, "shop", *RELEASE.split("/"), "1.0.0", requester="alice")
    return RELEASE


@pytest.fixture
def pages(server: FastAPI, release: str) -> FastAPI:
    """The pages with one more, under Airflow's server."""
    [mounted] = [it for it in server.routes if getattr(it, "path", "") == PREFIX]
    mounted.app.include_router(router())
    server.get("/favicon.ico")(lambda: None)  # as Airflow has one
    return server


@pytest.fixture
def site(pages: FastAPI) -> Iterator[str]:
    """The address below which the pages are."""
    with served(pages) as port:
        yield f"http://127.0.0.1:{port}{PREFIX}"


@pytest.fixture
def signed_in(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """A browser's profile in which a person has signed in; every error of a script fails the test.

    With ``quiet`` every one of its console does, too: answers of 400 and above are some.
    """
    made: list[tuple[BrowserContext, list[str]]] = []

    def context(name: str = "alice", *, quiet: bool = True, address: str = "http://127.0.0.1", **options: Any) -> Any:
        people.READ.setdefault(name, {"*"})
        it = browser.new_context(**options)
        it.set_default_timeout(PATIENCE)
        it.add_cookies([{"name": "_token", "value": token_of(name), "url": address}])
        wrong: list[str] = []
        it.on("weberror", lambda error: wrong.append(str(error.error)))
        if quiet:
            it.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        made.append((it, wrong))
        return it

    yield context
    for it, _ in made:
        it.close()
    assert [wrong for _, wrong in made if wrong] == []
