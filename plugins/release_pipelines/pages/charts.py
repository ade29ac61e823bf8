"""Charts of a release's metrics as images: each is drawn once for everybody who looks, and at most every ten seconds."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import Response

from release_pipelines.core.status.model import Series
from release_pipelines.features.report.charts import Theme, chart
from release_pipelines.pages.access import Refused
from release_pipelines.pages.app import Looking
from release_pipelines.pages.release import found

router = APIRouter(prefix="/runs/{dag_id}/{run_id}/charts")

REDRAWN_SECONDS = 10.0
"""A drawing is kept so long at least, in seconds, whatever is measured meanwhile."""
FRESH_SECONDS = 5.0
"""A chart is of what was read at most so long ago, in seconds: a page has one for each metric, and asks for all at once."""
MANY = 200
"""So many drawings are kept, of some tens of kilobytes each."""
HEADERS = {
    "Cache-Control": "private, max-age=10",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}
"""An image of its own: what it is painted with stands in its elements, and nothing in it runs."""


class Drawing(NamedTuple):
    """A chart that was drawn."""

    of: str
    """What it shows, as a hash."""
    at: float
    """When, by the monotonic clock in seconds."""
    svg: str


class Drawings:
    """The drawings of this process, whoever asked for them."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, ...], Drawing] = OrderedDict()
        self._lock = Lock()

    def of(self, release: str, series: Series, theme: Theme) -> Drawing:
        """The drawing of a metric; one that others are waiting for, too, is drawn once."""
        key, shows = (release, series.environment, series.metric, theme), _hash(series)
        with self._lock:
            known = self._made.get(key)
            if known is None or (known.of != shows and time.monotonic() - known.at >= REDRAWN_SECONDS):
                known = self._made[key] = Drawing(shows, time.monotonic(), chart(series, theme))
            self._made.move_to_end(key)
            while len(self._made) > MANY:
                self._made.popitem(last=False)
        return known


def _hash(series: Series) -> str:
    return hashlib.sha256(series.model_dump_json().encode()).hexdigest()[:32]


DRAWINGS = Drawings()


@router.get("/{environment}/{metric}/{theme}.svg")
def drawn(
    request: Request,
    viewer: Looking,
    dag_id: str,
    run_id: str,
    environment: str,
    metric: str,
    theme: Theme,
    life: int | None = None,
) -> Response:
    """A metric over the release."""
    release = found(request, viewer, dag_id, run_id, life, seconds=FRESH_SECONDS)
    known = release.status.series if release else []
    series = next((it for it in known if (it.environment, it.metric) == (environment, metric)), None)
    if release is None or series is None:
        raise Refused(404, "Nothing was measured by that name in this release.")
    drawing = DRAWINGS.of(release.status.id, series, theme)
    tag = f'"{drawing.of}-{theme}"'
    headers = {**HEADERS, "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(drawing.svg, media_type="image/svg+xml", headers=headers)
