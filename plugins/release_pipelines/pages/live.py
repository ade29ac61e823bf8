"""Streams of pages: whole state at once, then every part that has changed, as server-sent events.

A page's module adds its stream with :func:`streams`. What is read, and for whom it is written, stands in
:mod:`release_pipelines.pages.hub`.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from release_pipelines.pages.access import RIGHTS_SECONDS, Less, Refused, Viewer
from release_pipelines.pages.app import Looking
from release_pipelines.pages.hub import Hub, Page, Shown, state, stopping

log = logging.getLogger(__name__)

STREAM_SECONDS = 25.0
"""How long a stream lasts, in seconds; the browser takes it up again. One that never ends would keep the server from stopping."""
BEAT_SECONDS = 2.0
"""Time between two beats, in seconds. They carry the server's clock, and tell that the connection lives."""
RETRY_SECONDS, TURN_SECONDS = 1.0, 2.0
"""After how long a browser asks again, in seconds: usually, and when it has many tabs."""
AT_ONCE = 3
"""Streams that one person has open in a process. A browser has six connections to a host, and a stream takes one: what
further tabs ask for ends when it has been told, so that all tabs and Airflow itself go on."""
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}

_open: Counter[str] = Counter()


def streams(router: APIRouter, page: Callable[[Request], Page], path: str = "/stream") -> None:
    """Add the stream of a page to its router.

    :param page: the page that a request means, with what its address says of it (path parameters, filters).
    :param path: below the router's prefix; a browser finds it beside the page's own address.
    """

    @router.get(path)
    async def stream(request: Request, viewer: Looking) -> StreamingResponse:
        """The page's parts, whenever one changes."""
        return StreamingResponse(_events(request, page(request), viewer), headers=HEADERS)


async def _events(request: Request, page: Page, viewer: Viewer) -> AsyncIterator[str]:
    who = viewer.identity.id or viewer.name
    _open[who] += 1
    turn = _open[who] > AT_ONCE
    try:
        yield f"retry: {1000 * (TURN_SECONDS if turn else RETRY_SECONDS):.0f}\n: the history is asked\n\n"
        hub: Hub = request.app.state.hub
        async with hub.looking(page) as shown:
            async for text in _told(request, hub, page, shown, viewer, turn):
                yield text
    except Less:
        return  # the browser asks again, and is told by who they are now
    except Refused as refusal:
        yield _event("gone", json.dumps({"sentence": refusal.sentence}))
    except Exception as error:
        log.error("A page cannot be shown.", exc_info=error)
        yield _event("beat", json.dumps({"at": round(time.time(), 3), "as_of": None, "trouble": "away"}))
    finally:
        _open[who] -= 1
        if not _open[who]:
            del _open[who]


async def _told(request: Request, hub: Hub, page: Page, shown: Shown, viewer: Viewer, turn: bool) -> AsyncIterator[str]:
    """What one connection is told.

    :param turn: it ends with the first complete state.
    """
    sent: dict[str, str] = {}
    version, sight, asked, beat = 0, None, 0.0, -1.0
    trouble: str | None = None
    end = time.monotonic() + STREAM_SECONDS
    while (now := time.monotonic()) < end and not stopping():
        if shown.version and (shown.version != version or now - asked > RIGHTS_SECONDS):
            may, asked = await hub.sight(page, shown, viewer), now
            if shown.version != version or may != sight:
                version, sight = shown.version, may
                if told := await _state(request, hub, page, shown, sight, sent):
                    yield told
        # All connections beat at the same moments: a server that wakes up for each of them does little else.
        if shown.trouble() != trouble or now // BEAT_SECONDS != beat:
            trouble, beat = shown.trouble(), now // BEAT_SECONDS
            yield ": still here\n" + _event("beat", json.dumps(_clock(shown) | {"trouble": trouble}))
        if turn and version:
            return
        if shown.version == version or not shown.version:  # else something came while this was told
            await shown.changes(min(end, (beat + 1) * BEAT_SECONDS) - time.monotonic())


async def _state(
    request: Request, hub: Hub, page: Page, shown: Shown, sight: Hashable, sent: dict[str, str]
) -> str | None:
    """Whole parts, those that differ from what this connection was sent; None: none do.

    :param sent: what it was sent; told what it is sent now.
    """
    clock = json.dumps(_clock(shown))
    rendered = await hub.rendered(request, page, shown, sight)
    if not sent:
        sent.update(rendered.parts)
        return _event("state", clock[:-1] + "," + rendered.whole[1:])
    parts = {name: html for name, html in rendered.parts.items() if sent.get(name) != html}
    gone = [name for name in sent if name not in rendered.parts]
    if not (parts or gone):
        return None
    for name in gone:
        del sent[name]
    sent.update(parts)
    return _event("state", clock[:-1] + "," + state(parts, rendered.parts, rendered.told)[1:])


def _clock(shown: Shown) -> dict[str, Any]:
    """The server's time, and the time at which the history said what is shown, as Unix times in seconds."""
    return {"at": round(time.time(), 3), "as_of": shown.as_of and round(shown.as_of, 3)}


def _event(name: str, data: str) -> str:
    """A message of a stream.

    :param data: JSON of one line.
    """
    return f"event: {name}\ndata: {data}\n\n"
