"""A metric's plot as an SVG that reads on a light and on a dark page. matplotlib is imported when something is drawn."""

from __future__ import annotations

import io
import math
from datetime import datetime, timezone
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from release_pipelines.features.report.plots import Plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, GREY, GRID, PAPER = "#1f2328", "#656d76", "#d8dee4", "#ffffff"
NEW, STABLE, SECOND = "#bc4c00", "#0969da", "#8250df"
DECIDED = {"pass": "#1a7f37", "fail": "#cf222e", "inconclusive": "#9a6700", "error": "#9a6701"}
DARK = {
    INK: "#e6edf3",
    GREY: "#8d96a0",
    GRID: "#30363d",
    PAPER: "#0d1117",
    NEW: "#f0883e",
    STABLE: "#58a6ff",
    SECOND: "#bc8cff",
    "#1a7f37": "#3fb950",
    "#cf222e": "#f85149",
    "#9a6700": "#d29922",
    "#9a6701": "#d29922",
}
"""Each colour of the drawing on a dark page. The light ones stand in the elements, for viewers that know no style sheets."""

LOWEST_EVIDENCE = 1e-3
"""Evidence below this is drawn here: a good version's falls without end, and says no more by it."""


def svg(plot: Plot) -> str:
    """The plot as an SVG: the numbers above, the evidence of the sequential tests below where there is any."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.dates import AutoDateLocator, DateFormatter
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.fonttype": "none",
        "text.parse_math": False,
        "svg.hashsalt": plot.name,
        "font.size": 9,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": GRID,
        "axes.facecolor": PAPER,
        "figure.facecolor": PAPER,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
    }
    with matplotlib.rc_context(settings):
        rows = 2 if plot.evidence else 1
        figure = Figure(figsize=(7.6, 1.7 + 2.1 * rows), layout="constrained")
        axes: list[Axes] = list(figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])
        figure.suptitle(plot.title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        axes[0].set_title(shorten(plot.caption, 115, placeholder=" …"), loc="left", fontsize=9, color=GREY, pad=16)
        _numbers(axes[0], plot)
        if plot.evidence:
            _evidence(axes[1], plot)
        for axis in axes:
            axis.axvline(_day(plot.decided_at), color=DECIDED[plot.judgement], linewidth=1.4)
            axis.grid(True, axis="y")
            axis.spines[["top", "right"]].set_visible(False)
            axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, labelcolor=INK, handlelength=1.6)
        axes[0].annotate(
            f"{plot.judgement} {_clock(plot.decided_at)}",
            (_day(plot.decided_at), 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
            color=DECIDED[plot.judgement],
            fontweight="bold",
        )
        axes[-1].xaxis.set_major_locator(AutoDateLocator(maxticks=6, tz=timezone.utc))
        axes[-1].xaxis.set_major_formatter(DateFormatter(_clock_format(plot), tz=timezone.utc))
        axes[-1].set_xlabel(f"time (UTC), {datetime.fromtimestamp(plot.decided_at, timezone.utc):%Y-%m-%d}")
        out = io.StringIO()
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None, "Title": plot.title})
    return out.getvalue().replace("</defs>", f"<style>{_dark()}</style></defs>", 1)


def _numbers(axis: Axes, plot: Plot) -> None:
    marker = "o" if len(plot.new) <= 60 else None
    for points, colour, name in ((plot.stable, STABLE, "stable"), (plot.new, NEW, f"{plot.version[:16]} (new)")):
        if any(value is not None for _, value in points):
            times = [_day(at) for at, _ in points]
            values = [math.nan if value is None else value for _, value in points]
            axis.plot(times, values, color=colour, marker=marker, markersize=3, linewidth=1.5, label=name)
    axis.axhline(
        plot.limit, color=GREY, linestyle=(0, (4, 3)), linewidth=1.2, label=f"limit {_value(plot, plot.limit)}"
    )
    unmeasured = [_day(at) for at, value in plot.new if value is None]
    if unmeasured:
        axis.plot(
            unmeasured, [0] * len(unmeasured), color=GREY, marker="x", markersize=4, linestyle="", label="not measured"
        )
    seen = [value for _, value in (*plot.new, *plot.stable) if value is not None]
    highest = max([plot.limit, *seen]) or 1.0
    axis.set_ylim(min([0.0, *seen]) - 0.04 * highest, 1.15 * highest)
    axis.set_ylabel(shorten(plot.measure, 34, placeholder=" …") + (", %" if plot.unit == "share" else ""))
    if plot.unit == "share":
        axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}")


def _evidence(axis: Axes, plot: Plot) -> None:
    assert plot.evidence is not None  # noqa: S101 - asked by the caller
    series = (
        (plot.evidence.against_stable, STABLE, "against stable"),
        (plot.evidence.against_limit, SECOND, "against the limit"),
    )
    highest = plot.evidence.threshold
    for points, colour, name in series:
        highest = max([highest, *(value for _, value in points)])
        values = [max(LOWEST_EVIDENCE, math.exp(min(value, 600.0))) for _, value in points]
        axis.plot([_day(at) for at, _ in points], values, color=colour, linewidth=1.5, label=name)
    threshold = math.exp(plot.evidence.threshold)
    axis.axhline(
        threshold, color=GREY, linestyle=(0, (4, 3)), linewidth=1.2, label=f"surely worse: 1/alpha = {threshold:,.0f}"
    )
    axis.set_yscale("log")
    axis.minorticks_off()
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_ylim(LOWEST_EVIDENCE, math.exp(min(highest, 600.0)) * 10)
    axis.set_ylabel("evidence (e-value)")


def _value(plot: Plot, value: float) -> str:
    return f"{100 * value:.3g} %" if plot.unit == "share" else f"{value:.4g}"


def _day(at: float) -> float:
    """Days since 1970, as matplotlib counts time."""
    return at / 86400


def _clock_format(plot: Plot) -> str:
    times = [at for at, _ in plot.new]
    seconds = max(times) - min(times)
    return "%H:%M:%S" if seconds < 600 else "%H:%M" if seconds < 86400 else "%m-%d %H:%M"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%H:%M:%S")


def _dark() -> str:
    rules = "".join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark}!important}}'
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    )
    return f"@media (prefers-color-scheme:dark){{{rules}}}"
