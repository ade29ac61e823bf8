"""Deployments by week as a picture. matplotlib is imported when one is drawn."""

from __future__ import annotations

import io
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from release_pipelines.features.report.drawing import DARK, DECIDED, GREY, GRID, INK, STABLE

MOST_NUMBERS = 30
"""Of so many weeks each has its number; of more, only the axis says it."""
WHOLE = 7


class Column(NamedTuple):
    """One week: how many were deployed, how many failed, and how many of its days are in the span."""

    week: date
    deployed: int
    failed: int
    days: int


@lru_cache(maxsize=64)
def weekly(columns: tuple[Column, ...], dark: bool) -> str:
    """The picture as SVG, on a transparent ground; drawn once for the same numbers.

    :param dark: for a dark page.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "delivery",
        "text.parse_math": False,
        "font.family": "sans-serif",
        "font.size": 9,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": GRID,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "grid.color": GRID,
        "hatch.linewidth": 0.6,
    }
    bad = DECIDED["fail"]
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(9, 2.8), layout="constrained", facecolor="none")
        axis = figure.subplots()
        axis.set_facecolor("none")
        places = range(len(columns))
        for n, it in enumerate(columns):
            cut = "" if it.days == WHOLE else "////"
            axis.bar(n - 0.2, it.deployed, 0.4, facecolor="none" if cut else STABLE, edgecolor=STABLE, hatch=cut)
            axis.bar(n + 0.2, it.failed, 0.4, facecolor="none", edgecolor=bad, hatch="xxxx")
            if len(columns) <= MOST_NUMBERS:
                axis.annotate(str(it.deployed), (n - 0.2, it.deployed), (0, 2), textcoords="offset points", ha="center")
                if it.failed:
                    axis.annotate(
                        str(it.failed), (n + 0.2, it.failed), (0, 2), textcoords="offset points", ha="center", color=bad
                    )
        axis.bar(0, 0, color=STABLE, label="deployed")
        axis.bar(0, 0, facecolor="none", edgecolor=STABLE, hatch="////", label="deployed, week cut by the span")
        axis.bar(0, 0, facecolor="none", edgecolor=bad, hatch="xxxx", label="failed")
        step = max(1, -(-len(columns) // 14))
        axis.set_xticks(list(places)[::step], [f"{it.week:%-d %b}" for it in columns][::step])
        axis.set_xlim(-0.6, max(len(columns) - 0.4, 0.6))
        axis.set_ylim(0, max([1, *(it.deployed for it in columns), *(it.failed for it in columns)]) * 1.2)
        axis.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        axis.set_xlabel("week, by its Monday")
        axis.grid(True, axis="y")
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, labelcolor=INK)
        out = io.StringIO()
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None, "Title": "Deployments by week"})
    text = out.getvalue()
    if dark:
        for light, other in DARK.items():
            text = text.replace(light, other)
    return text
