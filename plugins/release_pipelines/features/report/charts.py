"""One metric over a release as an SVG for a page that is light or dark. matplotlib is imported when something is drawn."""

from __future__ import annotations

import io
import math
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from release_pipelines.core.sentences import share
from release_pipelines.features.report.drawing import DARK, GREY, GRID, INK, NEW, STABLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from release_pipelines.core.status.model import Series

Theme = Literal["light", "dark"]
_one_at_a_time = Lock()
"""What the library is set to is the process's."""


def chart(series: Series, theme: Theme) -> str:
    """The new version, what it is compared with, and the limit, over all steps.

    :param series: at least one of its spans has points.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    def colour(light: str) -> str:
        return DARK[light] if theme == "dark" else light

    settings: Any = {
        "svg.fonttype": "none",
        "text.parse_math": False,
        "svg.hashsalt": f"{series.environment}-{series.metric}",
        "font.size": 9,
        "text.color": colour(INK),
        "axes.labelcolor": colour(INK),
        "axes.edgecolor": colour(GRID),
        "xtick.color": colour(GREY),
        "ytick.color": colour(GREY),
        "grid.color": colour(GRID),
        "grid.linewidth": 0.6,
    }
    out = io.StringIO()
    with _one_at_a_time, matplotlib.rc_context(settings):
        figure = Figure(figsize=(6.8, 2.1), layout="constrained")
        figure.patch.set_alpha(0.0)
        axis = figure.subplots()
        axis.patch.set_alpha(0.0)
        _lines(axis, series, colour)
        axis.grid(True, axis="y")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(
            loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, labelcolor=colour(INK), handlelength=1.6
        )
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None, "Title": series.label})
    return out.getvalue()


def _lines(axis: Axes, series: Series, colour: Any) -> None:
    """A line for each step: nothing was measured in between."""
    from datetime import timezone

    from matplotlib.dates import AutoDateLocator, DateFormatter

    known, moments, named = [0.0], [0.0], set()

    def line(times: list[float], values: list[float], light: str, name: str, **more: Any) -> None:
        there = [it for it in values if math.isfinite(it)]
        label = name if there and name not in named else None
        if there:
            named.add(name)
        known.extend(there)
        marker = "o" if len(there) == 1 and len(times) == 1 else None
        days = [it / 86400 for it in times]
        axis.plot(days, values, color=colour(light), label=label, marker=marker, markersize=3, **more)

    for span in series.spans:
        times = [at for at, _, _ in span.points]
        moments += times
        line(times, [_number(it) for _, _, it in span.points], STABLE, "stable", linewidth=1.5)
        line(times, [_number(it) for _, it, _ in span.points], NEW, "new version", linewidth=1.5)
        if span.limit is not None:
            name = f"limit {share(span.limit) if series.unit == 'share' else f'{span.limit:.4g}'}"
            line([times[0], times[-1]], [span.limit] * 2, GREY, name, linestyle=(0, (4, 3)), linewidth=1.2)
    lasts = max(moments) - min(moments[1:] or [0.0])
    shape = "%H:%M:%S" if lasts < 600 else "%H:%M" if lasts < 86400 else "%m-%d %H:%M"
    axis.set_ylim(bottom=min(known) if min(known) < 0 else 0.0, top=1.15 * max(known) or 1.0)
    if series.unit == "share":
        axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")
    axis.xaxis.set_major_locator(AutoDateLocator(minticks=3, maxticks=6, tz=timezone.utc))
    axis.xaxis.set_major_formatter(DateFormatter(shape, tz=timezone.utc))
    axis.set_xlabel("time (UTC)")


def _number(value: float | None) -> float:
    return math.nan if value is None else value
