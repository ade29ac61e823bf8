"""The pages inside Airflow, as people see them and steer by them."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from sandbox import processes
from sandbox.airflow import TOKEN
from sandbox.settings import AIRFLOW, DAG_ID, ROLLBACK_DAG
from tests.end_to_end.browser import CHROMIUM, run_page, signed_in
from tests.end_to_end.conftest import QUICK, Run, Sandbox

if TYPE_CHECKING:
    from playwright.sync_api import Frame, Page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")

LONG = {"hold": "5m"}
"""Longer than the tests wait: what ends such a hold is a person."""
CANARY = {"steps": [{"weight": 10, **LONG}, {"weight": 50, **LONG}], "bake": "5m", "retire_after": "1s"}
PAGES = f"{AIRFLOW}/plugin/releases/releases"
"""Where Airflow's navigation shows our pages: behind it stands what the frame shows."""
AXE = os.environ.get("TEST_AXE", "")
"""File of axe-core (axe.min.js)."""
SEEN = """() => ({
  waits_for: document.querySelector("#clock").dataset.waitsFor,
  ends: [...document.querySelectorAll("#clock time[data-countdown]")].map((it) => Date.parse(it.dateTime) / 1000),
  weights: [...document.querySelectorAll("#tracks tbody tr")].map((it) => [it.querySelector("th").innerText, Number(it.querySelector("data")?.value)]),
  evidence: [...document.querySelectorAll("#metrics tr[data-metric]")].map((it) => [it.dataset.metric, it.querySelector(".evidence")?.value ?? null]),
})"""
"""What the page of a release says of who has the traffic, of the evidence, and of its clock."""


@contextmanager
def looking(user: str) -> Iterator[Page]:
    """A browser in which somebody has signed in, and whose console has no error."""
    with signed_in(user) as page:
        said: list[str] = []
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda it: said.append(f"{it.text} {it.location}") if it.type == "error" else None)
        yield page
        assert not said, said


def frame(page: Page) -> Frame:
    """Our page in Airflow's frame."""
    element = page.locator("iframe").element_handle()
    found = element.content_frame() if element else None
    assert found is not None
    found.locator("main h1").first.wait_for()
    return found


def page_of(page: Page, run: Run) -> Frame:
    """A release's page, in the tab of its run."""
    page.goto(run_page(run.run_id))
    page.get_by_role("link", name="Release", exact=True).click()
    return frame(page)


def press(ours: Frame, word: str, reason: str = "") -> str:
    """Give a command by its button; returns the sentence that answers it."""
    ours.locator(f"#steer-{word}").click()
    if reason:
        ours.locator("#steer-reason").fill(reason)
    ours.evaluate("() => { document.querySelector('#steer-said').textContent = ''; }")
    begun = time.monotonic()
    ours.locator("#steer-give").click()
    ours.wait_for_function(
        "() => ['#steer-said', '#steer-refused'].some((it) => document.querySelector(it).textContent.trim())"
    )
    print(f"{word} is answered after {time.monotonic() - begun:.2f} s")
    assert not (refused := ours.locator("#steer-refused").text_content()), refused
    return str(ours.locator("#steer-said").text_content())


def give(sandbox: Sandbox, run: Run, ours: Frame, word: str, reason: str = "") -> str:
    """The same; where a busy release answers later than its page waits, the answer that the history has then."""
    said = press(ours, word, reason)
    if "Not answered yet" not in said:
        return said
    answers: list[dict[str, Any]] = []

    def answered() -> bool:
        answers[:] = [it for it in sandbox.history(run)["commands"] if it["kind"] == word and it["effect"]]
        return bool(answers)

    until(answered, f"{word} is answered")
    return f"{answers[-1]['by']}: {answers[-1]['effect']}"


def until(true: Callable[[], Any], what: str, seconds: float = 60) -> None:
    """Look until it is true, and print after how long."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < seconds, f"waited in vain: {what}"
        time.sleep(0.1)
    print(f"{what}: after {time.monotonic() - begun:.2f} s")


def shares_and_evidence(told: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Weights and evidence, as the page shows them."""
    weights = [[it["track"], it["weight"]] for it in told["tracks"]["tracks"]]
    return weights, [[it["metric"], it["evidence"]] for it in told["metrics"]]


def says(page: dict[str, Any], told: dict[str, Any]) -> bool:
    """Whether the page said the same; which of a clock's ends it counts down to depends on what it waits for."""
    clock = told["clock"]
    moments = [it for name, it in clock.items() if it and (name.endswith("_at") or name == "until")]
    ends = {round(datetime.fromisoformat(it).timestamp(), 3) for it in moments}
    evidence = [[name, None if it is None else float(it)] for name, it in page["evidence"]]
    shown = (page["waits_for"], page["weights"], evidence)
    return shown == (clock["waits_for"], *shares_and_evidence(told)) and set(page["ends"]) <= ends


def compare(sandbox: Sandbox, run: Run, ours: Frame) -> None:
    """The page says what ``release show --json`` does, a moment before or after.

    Evidence changes with each measurement: on a busy machine one may come between the two, and both are asked again.
    """
    begun, nearest = time.monotonic(), None
    while nearest is None:
        with ThreadPoolExecutor(1) as beside:
            asked, pages = beside.submit(sandbox.history, run), []
            while not asked.done():
                pages.append((time.time(), ours.evaluate(SEEN)))
                time.sleep(0.1)
            told = asked.result()["status"]
        for _ in range(20):
            pages.append((time.time(), ours.evaluate(SEEN)))
            time.sleep(0.1)
        at = datetime.fromisoformat(told["at"]).timestamp()
        weights, evidence = shares_and_evidence(told)
        nearest = min((abs(when - at) for when, it in pages if says(it, told)), default=None)
        assert nearest is not None or time.monotonic() - begun < 90, (told, pages[-1])
    print(f"the page and `release show` say the same within {nearest:.2f} s: {weights}, {evidence}")


def asked(user: str, path: str, **more: Any) -> int:
    """The status by which Airflow answers a program that has signed in as somebody."""
    body = json.dumps({"username": user, "password": user}).encode()
    request = urllib.request.Request(AIRFLOW + TOKEN, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        token = json.load(answer)["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(AIRFLOW + path, headers=headers, **more), timeout=30) as it:
            return int(it.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code


@contextmanager
def a_neighbour(html: str) -> Iterator[str]:
    """A page that another port of this machine serves; its cookies are the same."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: Any) -> None:
            """Not on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def below(run: Run) -> str:
    """Where a release's page is, below our pages."""
    return f"/runs/{DAG_ID}/{urllib.parse.quote(run.run_id, safe='')}"


def test_every_page_stands_in_airflows_frame_for_who_may_only_look(sandbox: Sandbox, serving: Run) -> None:
    log = processes.LOG / "airflow-api-server.log"
    before = log.stat().st_size
    places = ["/", "/calendar", "/delivery", "/audit", "/compare", below(serving), f"{below(serving)}/report"]
    with looking("vera") as page:
        page.get_by_role("button", name="Browse").click()
        page.get_by_role("menuitem", name="Releases").click()
        assert frame(page).locator("h1").inner_text() == "Releases"
        until(lambda: "1.0.0" in frame(page).locator("main").inner_text(), "what runs is seen", 150)
        for scheme in ("light", "dark"):
            page.evaluate("(it) => localStorage.setItem('theme', it)", scheme)
            for place in places:
                page.goto(PAGES + place)
                ours = frame(page)
                ours.locator(":root.dark" if scheme == "dark" else ":root:not(.dark)").wait_for()
                for width in (1440, 400):
                    page.set_viewport_size({"width": width, "height": 1000})
                    assert ours.evaluate("document.documentElement.scrollWidth <= innerWidth"), (place, width)
                assert ours.locator("button[data-word]").count() == 0, place
        page.goto(PAGES + below(serving))
        page.reload()
        assert frame(page).locator("h1").inner_text() == "storefront 1.0.0"
        ours = frame(page)
        ours.locator("#still").wait_for(state="detached")  # its scripts are there
        ours.get_by_role("link", name="Its run in Airflow").click()
        page.wait_for_url(run_page(serving.run_id))
        page.get_by_role("link", name="Release", exact=True).wait_for()
    with log.open() as said:
        said.seek(before)
        assert "Traceback" not in said.read()


@pytest.mark.skipif(not Path(AXE).is_file(), reason="no axe-core: TEST_AXE names its axe.min.js")
def test_axe_finds_nothing_serious_in_the_frame(sandbox: Sandbox, serving: Run) -> None:
    places = ("/", "/calendar", "/delivery", "/audit", "/compare", below(serving), f"{below(serving)}/report")
    with signed_in("bob") as page:
        for scheme in ("light", "dark"):
            page.evaluate("(it) => localStorage.setItem('theme', it)", scheme)
            for place in places:
                page.goto(PAGES + place)
                ours = frame(page)
                ours.locator(":root.dark" if scheme == "dark" else ":root:not(.dark)").wait_for()
                ours.evaluate(Path(AXE).read_text())
                found = ours.evaluate("async () => (await axe.run(document)).violations")
                bad = [(it["id"], it["nodes"]) for it in found if it["impact"] in ("serious", "critical")]
                assert not bad, (scheme, place, bad)


def test_a_canary_is_steered_by_the_buttons_of_its_page(sandbox: Sandbox) -> None:
    sandbox.strategy("canary", {**QUICK, "strategy": {"canary": CANARY}})
    before, version = sandbox.serves(), sandbox.other()
    run = sandbox.start(version)
    run.until(lambda: run.waited_for("approval"))
    with looking("bob") as page:
        ours = page_of(page, run)
        assert press(ours, "approve", "looks good").startswith("bob: ")
        run.until(lambda: sandbox.noted("step_10"))
        ours.wait_for_function("() => document.querySelectorAll('#metrics .evidence').length > 0")
        compare(sandbox, run, ours)

        assert give(sandbox, run, ours, "pause", "lunch").startswith("bob: The clock of step_10 stands still")
        assert sandbox.observe().route.note.paused_at is not None  # type: ignore[union-attr]
        ours.get_by_text("paused by bob: lunch").wait_for()
        assert give(sandbox, run, ours, "resume").startswith("bob: The clock of step_10 goes on")
        assert sandbox.observe().route.note.paused_at is None  # type: ignore[union-attr]
        ours.locator("#steer-skip").wait_for()
        assert give(sandbox, run, ours, "skip", "enough seen").startswith("bob")
        run.until(lambda: sandbox.noted("step_50"))
        ours.wait_for_function("() => document.querySelector('#clock').dataset.waitsFor === 'hold'")
        compare(sandbox, run, ours)
        assert give(sandbox, run, ours, "promote", "go").startswith("bob")
        run.until(lambda: run.ended)
        assert run.state == "success", sandbox.history(run)["sentence"]
        ours.get_by_text("released", exact=False).first.wait_for()

        said = press(ours, "roll_back", "wrong prices")
        assert said.startswith(f"bob: storefront goes back to {before}."), said
        link = ours.locator("#steer-said a").get_attribute("href") or ""
        back = Run.known(ROLLBACK_DAG, urllib.parse.unquote(link.rsplit("/", 1)[-1]))
        back.until(lambda: back.ended)
    assert (back.state, sandbox.serves()) == ("success", before)
    entry = sandbox.history(run)
    assert [(it["by"], it["decision"], it["note"]) for it in entry["approvals"]] == [("bob", "approved", "looks good")]
    assert [(it["kind"], it["by"], it["reason"]) for it in entry["commands"]][:3] == [
        ("pause", "bob", "lunch"), ("resume", "bob", None), ("skip", "bob", "enough seen"),
    ]  # fmt: skip


def test_an_abort_by_button_moves_the_traffic_at_once(sandbox: Sandbox) -> None:  # R4
    sandbox.strategy("canary", {**QUICK, "strategy": {"canary": CANARY}})
    before = sandbox.serves()
    run = sandbox.begin(sandbox.other())
    with looking("alice") as page:
        ours = page_of(page, run)
        run.until(lambda: sandbox.noted("step_10"))
        ours.wait_for_function("() => document.querySelector('#clock').dataset.waitsFor === 'hold'")
        assert ours.locator("#steer-skip").count() == 0
        assert give(sandbox, run, ours, "abort", "wrong prices") == "alice: All traffic is back on stable."
        assert sandbox.observe().weight("canary") == 0
        ours.get_by_text("alice aborted it: wrong prices").first.wait_for()
        until(lambda: ["canary", 10] not in ours.evaluate(SEEN)["weights"], "the page shows the traffic where it is")
        run.until(lambda: run.ended)
        ours.get_by_text("Aborted").first.wait_for()
    entry = sandbox.history(run)
    assert (run.state, entry["outcome"]) == ("failed", "aborted"), entry["sentence"]
    assert "alice: wrong prices" in entry["sentence"]
    assert sandbox.serves() == before


def test_who_may_not_sees_and_changes_nothing_and_a_neighbours_page_neither(sandbox: Sandbox) -> None:
    sandbox.strategy("canary", {**QUICK, "strategy": {"canary": CANARY}})
    run = sandbox.start(sandbox.other())
    run.until(lambda: run.waited_for("approval"))
    place = f"/releases{below(run)}"
    seen = {"release": f"{DAG_ID}/{run.run_id}#0", "step": None, "weight": None, "digest": None}
    order = {"kind": "abort", "reason": "mine", "seen": seen}
    body = json.dumps(order).encode()
    for path in (place, f"{place}/stream", f"{place}/report"):
        assert asked("sam", path) == 403, path
    assert asked("sam", f"{place}/commands", data=body, method="POST") == 403
    assert asked("vera", place) == 200
    assert asked("vera", f"{place}/commands", data=body, method="POST") == 403

    post = f"""<form method="post" enctype="text/plain" action="{AIRFLOW}{place}/commands"><input name='{{"kind": "abort", "x": "' value='"}}'></form>
<script>
const ask = (type) => fetch("{AIRFLOW}{place}/commands", {{method: "POST", mode: "no-cors", credentials: "include", headers: {{"Content-Type": type}}, body: {json.dumps(json.dumps(order))}}});
Promise.allSettled([ask("text/plain"), ask("application/json")]).then(() => document.forms[0].submit());
</script>"""
    with signed_in("bob") as page, a_neighbour(post) as address:
        statuses: list[int] = []
        page.on("response", lambda it: statuses.append(it.status) if it.url.endswith("/commands") else None)
        page.goto(address)
        page.wait_for_url(f"{AIRFLOW}{place}/commands")
        assert statuses, "nothing has reached the server"
        assert set(statuses) <= {401, 403}, statuses
        assert sandbox.history(run)["commands"] == []
        assert run.asks

        assert press(page_of(page, run), "reject", "not today").startswith("bob: ")
        run.until(lambda: run.ended)
    entry = sandbox.history(run)
    assert entry["outcome"] == "rejected", entry["sentence"]
    assert "bob" in entry["sentence"]
