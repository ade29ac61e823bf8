"""Templates of the pages. Everything that people, Git or logs wrote is escaped; nothing is marked as safe."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from release_pipelines.core.links import web_link
from release_pipelines.core.sentences import share
from release_pipelines.pages.access import airflow_root

NOT_KEPT = {"Cache-Control": "no-store"}


@cache
def environment() -> Environment:
    """Where templates come from, and what they may use."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(moment=moment, instant=instant, segment=segment, target=web_link)
    made.filters.update(quantity=quantity, evidence=evidence)
    return made


def page(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A whole page.

    :param template: name of its file.
    :param context: what the template shows.
    """
    return HTMLResponse(render(request, template, **context), status, NOT_KEPT)


def render(request: Request, template: str, **context: Any) -> str:
    """A template as text: a page, or one part of it for a stream."""
    return environment().get_template(template).render(_context(request, context))


def macros(request: Request, template: str, **context: Any) -> Any:
    """The macros of a template, each a method: for what is written many times of the same context.

    :param template: name of its file.
    :param context: what the macros use beside their arguments.
    """
    return environment().get_template(template).make_module(_context(request, context))


def _context(request: Request, context: Mapping[str, Any]) -> dict[str, Any]:
    return {"now": round(time.time(), 3), **addresses(request), **context}


def addresses(request: Request) -> Mapping[str, str]:
    """What addresses begin with: ``base`` our own, ``airflow`` those of Airflow. Airflow may be served below a path."""
    return {"base": str(request.scope.get("root_path", "")), "airflow": airflow_root(request)}


def instant(at: float) -> str:
    """A Unix time in seconds for the attribute ``datetime`` of ``<time>``."""
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(at: float) -> str:
    """The same for people who read without JavaScript, which writes it anew in the zone that Airflow's page is set to."""
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def quantity(value: float | None, unit: str = "number") -> str:
    """A metric's number for people: a share in percent; a dash where there is none."""
    if value is None:
        return "\u2013"
    return share(value) if unit == "share" else f"{value:.4g}"


def evidence(value: float) -> str:
    """Evidence for people: the judge keeps the natural logarithm of an e-value."""
    number = math.exp(min(value, 30.0))
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def segment(text: str) -> str:
    """One part of a path."""
    return quote(text, safe="")
