"""The list of all apps while somebody looks at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI

from release_pipelines.adapters.history import History
from release_pipelines.core.model.progress import Progress
from release_pipelines.core.model.sighting import Sighting, TrackSeen
from release_pipelines.pages import overview
from release_pipelines.pages.files import Files
from tests.pages.conftest import PREFIX
from tests.pages.serving import served

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

NAMES = """() => [...document.querySelectorAll("#overview tbody")].filter(it => it.children.length).map(it => it.id)"""


@pytest.fixture(autouse=True)
def _no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("apps", "config", "trains"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"RELEASE_PIPELINES_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(overview, "FILES", Files())


@pytest.fixture
def address(server: FastAPI) -> Iterator[str]:
    server.get("/favicon.ico")(lambda: None)
    with served(server) as port:
        yield f"http://127.0.0.1:{port}{PREFIX}/"


def begin(history: History, app: str, version: str) -> str:
    history.begin(f"release_{app}/{version}", app, f"release_{app}", version, version, "carol")
    return f"release_{app}/{version}"


def fill(history: History) -> None:
    at = time.time()
    ready = TrackSeen(track="stable", wanted=1, ready=1)
    for number, (app, outcome) in enumerate((("cart", "released"), ("mail", "rolled_back"), ("shop", "released"))):
        release = begin(history, app, "1.0.1")
        history.record_event(release, "deployed", "It runs.", "production")
        history.finish(release, outcome, "It ended.")  # type: ignore[arg-type]
        seen: dict[str, Any] = {"digest": f"sha256:{number}" + "a" * 63, "version": "1.0.0", "since": at - 5000}
        if outcome == "released":
            seen |= {"release": release, "version": "1.0.1"}
        state = {"state": "ok" if number else "over", "at": at, "sentence": "errors: 0.2 % of 1,204 (limit 1 %)"}
        where = {"app": app, "environment": "production", "looked_at": at, "observed_at": at, "tracks": [ready]}
        history.observe([Sighting.model_validate({**where, **seen, "health": state})])
    history.record_event(begin(history, "zoo", "2.0.0"), "asked", "Asked.")


def looking(signed_in: Callable[..., BrowserContext], address: str, **options: Any) -> Page:
    page = signed_in(address=address, **options).new_page()
    page.goto(address)
    page.wait_for_function("() => !document.getElementById('still')")
    return page


def test_rows_change_where_they_stand_and_a_new_one_comes_in_its_place(
    address: str, signed_in: Callable[..., BrowserContext], history: History
) -> None:
    fill(history)
    page = looking(signed_in, address)
    page.fill("input[name=q]", "half a wor")
    page.evaluate("() => { window.shop = document.getElementById('app-shop'); }")
    going = begin(history, "mail", "1.1.0")
    look = {"at": time.time(), "environment": "production", "step": "step_10", "weight": 10, "traffic": "10 %"}
    history.keep_progress({going: Progress(**look, earliest=time.time() + 60, latest=time.time() + 60)})
    begin(history, "desk", "3.0.0")
    page.wait_for_selector("#app-mail :text('step_10, 10 %')")
    page.wait_for_selector("#app-desk :text('3.0.0')")
    assert page.evaluate(NAMES) == [f"app-{it}" for it in ("cart", "desk", "mail", "shop", "zoo")]
    assert page.evaluate("() => window.shop === document.getElementById('app-shop')")
    assert page.evaluate("() => document.activeElement.name + document.activeElement.value") == "qhalf a wor"
    page.wait_for_function("() => document.getElementById('overview-counts').textContent.includes('3 running')")


def test_a_row_that_does_not_fit_any_more_goes_and_the_others_stay_as_they_are(
    address: str, signed_in: Callable[..., BrowserContext], history: History
) -> None:
    fill(history)
    page = looking(signed_in, f"{address}?state=waits")
    assert page.evaluate(NAMES) == ["app-zoo"]
    history.record_event(begin(history, "ant", "2.0.0"), "asked", "Asked.")
    page.wait_for_selector("#app-ant :text('2.0.0')")
    page.evaluate("() => { window.ant = document.getElementById('app-ant'); }")
    history.finish("release_zoo/2.0.0", "rejected", "Rejected.")
    page.wait_for_function("() => !document.getElementById('app-zoo')")
    assert page.evaluate("() => window.ant === document.getElementById('app-ant')")
    assert page.evaluate(NAMES) == ["app-ant"]


@pytest.mark.parametrize("width", [400, 1440])
def test_the_list_is_as_wide_as_its_window(
    address: str, signed_in: Callable[..., BrowserContext], history: History, width: int
) -> None:
    fill(history)
    page = looking(signed_in, address, viewport={"width": width, "height": 900})
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
