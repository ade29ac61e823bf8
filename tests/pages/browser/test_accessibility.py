"""What a machine can tell of whether everybody can use the pages: axe-core finds nothing serious, light and dark, wide and narrow."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from release_pipelines.adapters.history import History
from release_pipelines.core.model.sighting import Sighting
from release_pipelines.core.model.train import TrainApp
from release_pipelines.features.report.incident_report import REPORT, incident_report
from tests.pages import people
from tests.pages.test_calendar import project as project
from tests.pages.test_calendar import released as released
from tests.pages.test_release import begin, judged, live

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

CART, MAIL, TRAIN = "release_cart/manual__1#0", "release_mail/manual__1#0", "train_weekly/manual__1#0"
PAGES = {
    "overview": "/",
    "nothing fits": "/?q=nothing",
    "running": "/runs/release_shop/manual__1",
    "waiting": "/runs/release_mail/manual__1",
    "rolled back": "/runs/release_cart/manual__1",
    "train": "/runs/train_weekly/manual__1",
    "not begun": "/runs/release_shop/manual__9",
    "report": "/runs/release_cart/manual__1/report",
    "month": "/calendar?view=month&at=2026-09-21",
    "week": "/calendar?view=week&at=2026-09-21",
    "delivery": "/delivery?from=2026-09-01&to=2026-10-01",
    "compare": "/compare?right=release_shop%2Fmanual__1%230",
    "audit": "/audit",
}
AROUND = "html { background: #fff } html.dark { background: #111113 }"
"""Airflow's page, which the pages let through."""
FOUND = """() => axe.run(document, { preload: false, resultTypes: ["violations"] }).then((it) => it.violations
  .filter((of) => ["serious", "critical"].includes(of.impact))
  .map((of) => `${of.id}: ${of.nodes.map((node) => node.html.slice(0, 160) + " " + node.failureSummary).join(" | ")}`))"""


@pytest.fixture
def axe() -> str:
    """The source of axe-core, as its package carries it."""
    package = pytest.importorskip("axe_playwright_python", reason="the package axe-playwright-python is not installed")
    return (Path(package.__path__[0]) / "axe.min.js").read_text()


@pytest.fixture
def release(history: History, released: Callable[..., str]) -> str:
    """Releases in many states, and what they left."""
    for number in range(12):
        released(
            f"{number}", f"2026-09-{number + 1:02}T10:00:00", outcome="rolled_back" if number % 5 == 4 else "released"
        )
    history._now = time.time
    live(history)
    judged(history, "step_10", 10, 120)
    history.command("release_shop/manual__1#0", "pause", "bob", reason="let me look")
    begin(history, MAIL, "2.0.0", app="mail", run_id="manual__1")
    history.record_event(MAIL, "asked", "Approve mail 2.0.0?", "production")
    begin(history, CART, "3.0.0", app="cart", run_id="manual__1", notes="quicker checkout")
    history.record_event(CART, "deployed", "It runs.", "production")
    history.finish(CART, "rolled_back", "errors were 3 % where 1 % is allowed.")
    history.attach(CART, REPORT, "text/markdown", incident_report(history.release(CART), "production"))
    begin(history, TRAIN, "2026-40", app="train_weekly", run_id="manual__1")
    where: dict[str, Any] = {"environment": "production"}
    apps = [
        TrainApp(app="shop", wave=1, version="1.1.0", run_id="train__1", result="released", **where),
        TrainApp(app="cart", wave=2, position=1, version="7.7.7", result="failed", sentence="cart broke", **where),
    ]
    history.plan_train(TRAIN, "2026-40", apps)
    at = time.time()
    for app, state in (("shop", "ok"), ("cart", "over")):
        health = {"state": state, "at": at, "sentence": "errors: 0.2 % of 1,204 (limit 1 %)"}
        tracks = [{"track": "stable", "wanted": 2, "ready": 2, "weight": 100, "version": "1.0.0"}]
        drift = (
            [{"kind": "replicas", "since": at - 60, "sentence": "2 replicas run, 3 were left"}] if app == "cart" else []
        )
        seen = {"app": app, "looked_at": at, "observed_at": at, "version": "1.0.0", "digest": "sha256:" + "a" * 64}
        told = {"since": at - 5000, "health": health, "tracks": tracks, "drift": drift}
        more = {"drift_since": at - 60} if drift else {}
        history.observe([Sighting.model_validate({**where, **seen, **told, **more})])
    return MAIL


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_used_by_everybody_as_far_as_a_machine_can_tell(
    page: str, axe: str, site: str, signed_in: Callable[..., BrowserContext]
) -> None:
    people.RUN["alice"] = {"*"}
    shown = signed_in(bypass_csp=True).new_page()
    answer = shown.goto(f"{site}{PAGES[page]}")
    assert answer is not None
    assert answer.status == 200
    shown.add_style_tag(content=AROUND)
    shown.evaluate(axe)
    for dark in (False, True):
        shown.evaluate(f"document.documentElement.classList.toggle('dark', {str(dark).lower()})")
        for width in (1440, 400):
            shown.set_viewport_size({"width": width, "height": 900})
            assert shown.evaluate(FOUND) == [], (dark, width)
            assert shown.evaluate("document.documentElement.scrollWidth") <= width
    if shown.locator("button[data-word=abort]").count():
        shown.locator("button[data-word=abort]").click()
        assert shown.evaluate(FOUND) == [], "the dialog"


def test_what_a_page_must_not_have_is_found(axe: str, site: str, signed_in: Callable[..., BrowserContext]) -> None:
    shown = signed_in(bypass_csp=True).new_page()
    shown.goto(f"{site}/audit")
    shown.add_style_tag(content=AROUND + "h1 { color: #ddd }")
    shown.evaluate("document.querySelector('main').append(document.createElement('input'))")
    shown.evaluate(axe)
    assert [it.partition(":")[0] for it in shown.evaluate(FOUND)] == ["color-contrast", "label"]
