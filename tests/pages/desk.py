"""A page with everything that updates could take away from its reader: focus, typed text, menus, selection, scroll, order."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from release_pipelines.adapters.history import History
from release_pipelines.adapters.history.pulse import News
from release_pipelines.pages.access import Viewer
from release_pipelines.pages.html import NOT_KEPT, addresses, environment
from release_pipelines.pages.live import streams
from release_pipelines.pages.saying import Told, told

RELEASE = "release_shop/manual__1"
PAGE = """{% extends "base.html" %}
{% block live %}data-live{% endblock %}
{% block content %}<h1>Desk</h1>{{ parts | safe }}{% endblock %}"""
NOW = {"until": "2026-01-01T00:00:00Z", "since": "2026-01-01T00:00:00Z"}


class Desk:
    """One release and what stands around it."""

    key: Hashable = "desk"
    release = RELEASE

    def touched(self, news: News) -> bool:
        return news.everything or RELEASE in news.releases

    def read(self, history: History) -> Any:
        return history.release(RELEASE)

    def sight(self, data: Any, viewer: Viewer) -> bool:
        return viewer.may("POST", "release_shop")

    def parts(self, request: Request, data: Any, sight: bool) -> dict[str, str]:
        count = len(data.events)
        weight = data.progress.weight if data.progress else 0
        rows = "".join(
            f'<tr data-key="{name}"><th scope="row">{name}</th><td>{count}</td></tr>' for name in ("a", "b", "c")
        )
        if count % 2:  # the server's order changes all the time
            rows = f'<tr data-key="new{count}"><th scope="row">new</th><td>{count}</td></tr>{rows}'
        return {
            "state": f"""<section id="state"><p>Weight <b id="weight">{weight}</b> % after {count} events.
<span id="quote">This text stays selected whatever stands beside it: {count}.</span></p>
<time id="left" datetime="{NOW["until"]}" data-countdown>soon</time> <time id="age" datetime="{NOW["since"]}" data-age>before</time>
<time id="began" datetime="2026-03-28T23:30:00Z">2026-03-28 23:30:00 UTC</time>
<ol id="timeline">{"".join(f"<li>{it.sentence}</li>" for it in data.events)}</ol></section>""",
            "asks": f"""<form id="asks" class="seen{count}"><label>Reason <input name="reason" value=""></label>
<textarea name="more"></textarea><select name="how"><option>now</option><option>later</option></select>
<button type="button" id="abort">abort</button><details id="menu"><summary>More</summary><p>{count}</p></details></form>""",
            "list": f"""<div id="list"><table><tbody id="rows" data-sorted>{rows}</tbody></table>
<div id="scroll" tabindex="0">{"".join(f"<p>{count} {it}</p>" for it in range(60))}</div></div>""",
        }

    def told(self, data: Any, sight: bool) -> Sequence[Told]:
        return told(data)


def router() -> APIRouter:
    """The page and its stream."""
    made = APIRouter()

    @made.get("/desk")
    def desk(request: Request) -> HTMLResponse:
        from release_pipelines.airflow.hooks.history import HistoryHook

        live = Desk()
        parts = "".join(live.parts(request, live.read(HistoryHook().history()), True).values())
        found = environment().from_string(PAGE).render(**addresses(request), now=0, parts=parts)
        return HTMLResponse(found, headers=NOT_KEPT)

    streams(made, lambda request: Desk(), "/desk/stream")
    return made
