"""A metric's plot as an SVG that reads on a light and on a dark page. matplotlib is imported when something is drawn."""

from __future__ import annotations

import io
import math
from datetime import datetime, timezone
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from release_pipelines.features.report.plots import Course, Plot

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


def svg(plot: Plot | Course) -> str:
    """The plot as an SVG: one metric in one step, or a whole release."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
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
        rows = 1 + len(plot.metrics) if isinstance(plot, Course) else 2 if plot.evidence else 1
        height = 2.1 if isinstance(plot, Plot) else 1.6
        figure = Figure(figsize=(7.6, 1.7 + height * rows), layout="constrained")
        axes: list[Axes] = list(figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])
        figure.suptitle(plot.title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        axes[0].set_title(shorten(plot.caption, 115, placeholder=" …"), loc="left", fontsize=9, color=GREY, pad=16)
        if isinstance(plot, Plot):
            _metric(axes, plot)
        else:
            _course(axes, plot)
        out = io.StringIO()
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None, "Title": plot.title})
    return out.getvalue().replace("</defs>", f"<style>{_dark()}</style></defs>", 1)


def _metric(axes: list[Axes], plot: Plot) -> None:
    """The numbers above, the evidence of the sequential tests below where there is any."""
    _numbers(axes[0], plot)
    if plot.evidence:
        _evidence(axes[1], plot)
    for axis in axes:
        _decided(axis, plot.decided_at, plot.judgement)
        _dressed(axis)
    _said(axes[0], plot.decided_at, f"{plot.judgement} {_clock(plot.decided_at)}", plot.judgement)
    _in_time(axes[-1], [at for at, _ in plot.new], plot.decided_at)


def _course(axes: list[Axes], plot: Course) -> None:
    """The new version's part of the traffic above, every metric below."""
    times = [_day(at) for at, _ in plot.shares]
    part = [percent for _, percent in plot.shares]
    axes[0].step(times, part, where="post", color=NEW, linewidth=1.5, label="new version")
    axes[0].fill_between(times, part, step="post", color=NEW, alpha=0.15, linewidth=0)
    axes[0].set_ylim(0, 105)
    axes[0].set_ylabel("new version, %")
    for axis, steps in zip(axes[1:], plot.metrics, strict=True):
        _steps(axis, steps)
    for at, name, judgement in plot.steps:
        for axis in axes:
            _decided(axis, at, judgement)
        _said(axes[0], at, name, judgement)
    for axis in axes:
        _dressed(axis)
    _in_time(axes[-1], [at for at, _ in plot.shares], plot.steps[-1][0])


def _decided(axis: Axes, at: float, judgement: str) -> None:
    axis.axvline(_day(at), color=DECIDED[judgement], linewidth=1.4)


def _said(axis: Axes, at: float, words: str, judgement: str) -> None:
    """What was decided, above its line."""
    axis.annotate(
        words,
        (_day(at), 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        color=DECIDED[judgement],
        fontweight="bold",
    )


def _dressed(axis: Axes) -> None:
    axis.grid(True, axis="y")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, labelcolor=INK, handlelength=1.6)


def _in_time(axis: Axes, times: list[float], decided_at: float) -> None:
    from matplotlib.dates import AutoDateLocator, DateFormatter

    axis.xaxis.set_major_locator(AutoDateLocator(maxticks=6, tz=timezone.utc))
    axis.xaxis.set_major_formatter(DateFormatter(_clock_format(times), tz=timezone.utc))
    axis.set_xlabel(f"time (UTC), {datetime.fromtimestamp(decided_at, timezone.utc):%Y-%m-%d}")


def _steps(axis: Axes, steps: list[Plot]) -> None:
    """One metric over all steps: a line for each of them, since nothing was measured in between."""
    first, limits = steps[0], {it.limit for it in steps}
    known: list[float] = [*limits]
    for number, plot in enumerate(steps):
        for points, colour, name in ((plot.stable, STABLE, "stable"), (plot.new, NEW, f"{plot.version[:16]} (new)")):
            there = [value for _, value in points if value is not None]
            known += there
            times, values = [_day(at) for at, _ in points], [math.nan if it is None else it for _, it in points]
            label = name if there and number == 0 else None
            marker = "o" if len(there) == 1 else None
            axis.plot(times, values, color=colour, marker=marker, markersize=3, linewidth=1.5, label=label)
        begun, limit = min(at for at, _ in plot.new), f"limit {_value(plot, plot.limit)}"
        label = limit if number == 0 else None
        ends = [_day(begun), _day(plot.decided_at)]
        axis.plot(ends, [plot.limit] * 2, color=GREY, linestyle=(0, (4, 3)), linewidth=1.2, label=label)
    _scaled(axis, first, known)


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
    _scaled(axis, plot, [plot.limit, *(value for _, value in (*plot.new, *plot.stable) if value is not None)])


def _scaled(axis: Axes, plot: Plot, seen: list[float]) -> None:
    """The axis of a metric's numbers, of which ``seen`` are there."""
    highest = max(seen) or 1.0
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


def _clock_format(times: list[float]) -> str:
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
