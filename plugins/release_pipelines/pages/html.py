"""Templates of the pages. Everything that people, Git or logs wrote is escaped; nothing is marked as safe."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

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
    made.filters.update(moment=moment, instant=instant, segment=segment, target=link_target)
    return made


def page(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A whole page.

    :param template: name of its file.
    :param context: what the template shows.
    """
    return HTMLResponse(render(request, template, **context), status, NOT_KEPT)


def render(request: Request, template: str, **context: Any) -> str:
    """A template as text: a page, or one part of it for a stream."""
    return environment().get_template(template).render({"now": round(time.time(), 3), **addresses(request), **context})


def addresses(request: Request) -> Mapping[str, str]:
    """What addresses begin with: ``base`` our own, ``airflow`` those of Airflow. Airflow may be served below a path."""
    return {"base": str(request.scope.get("root_path", "")), "airflow": airflow_root(request)}


def instant(at: float) -> str:
    """A Unix time in seconds for the attribute ``datetime`` of ``<time>``."""
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(at: float) -> str:
    """The same for people who read without JavaScript, which writes it anew in the zone that Airflow's page is set to."""
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def segment(text: str) -> str:
    """One part of a path."""
    return quote(text, safe="")


def link_target(address: object) -> str | None:
    """An address that may be a link's target, without what signs in with it; None: it is shown as text."""
    if not isinstance(address, str) or any(ord(it) <= 32 for it in address):
        return None
    try:
        parts = urlsplit(address)
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            return None
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host).geturl()
    except ValueError:
        return None
