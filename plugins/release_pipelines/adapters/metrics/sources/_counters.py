"""Raw counters: every event once, whatever is reset, appears late or could not be asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

Series = Mapping[str, float]
"""Values of a selector's series at one moment, by labels."""


class Counter(NamedTuple):
    """Two selectors of raw counters whose growth is counted exactly, series by series."""

    total: str
    """All events."""
    part: str
    """Bad ones; or good ones, where ``part_is_good``."""
    part_is_good: bool


class Known(NamedTuple):
    """What was read of a counter last."""

    at: float
    """Unix time in seconds."""
    total: dict[str, float]
    part: dict[str, float]


def growth(known: Series, now: Series, *, born_at_zero: bool) -> float:
    """Events between two looks at a counter's series.

    A series that fell was reset, and counts from 0 again; one that is gone adds nothing.

    :param known: each series' last known value.
    :param born_at_zero: a series that was not there before began at 0; else it only becomes known.
    """
    grown = 0.0
    for name, value in now.items():
        before = known.get(name)
        if before is None:
            grown += value if born_at_zero else 0.0
        else:
            grown += value - before if value >= before else value
    return grown


def counted(
    counter: Counter,
    known: Known | None,
    totals: list[dict[str, float]],
    parts: list[dict[str, float]],
    due: list[float],
    *,
    served_before: bool,
) -> tuple[list[tuple[float | None, float | None]], Known]:
    """Bad and all events up to each moment that is due, and what is known then.

    What a moment that could not be asked about had counts in the next one.

    :param known: what was read last; None: nothing, and the first values are those of the stage's start.
    :param totals: values of all events, for every moment after ``known``; so ``parts``, for the part.
    :param served_before: whether the track had traffic before this stage. A version that has just got its first traffic counts
        from 0. Of one that served all the time a series that appears late is no jump, unless the others were there already: then
        it is a first error, say.
    """
    if known is None:
        total, part = dict(totals[0]), dict(parts[0])
        totals, parts = totals[1:], parts[1:]
    else:
        total, part = dict(known.total), dict(known.part)
    unasked = len(totals) - len(due)
    born = not served_before or bool(total)
    counts: list[tuple[float | None, float | None]] = []
    carried_bad = carried = 0.0
    for n, (now_total, now_part) in enumerate(zip(totals, parts, strict=True)):
        grown = growth(total, now_total, born_at_zero=born)
        grown_part = growth(part, now_part, born_at_zero=born)
        total.update(now_total)
        part.update(now_part)
        born = born or bool(total)
        unknown = counter.part_is_good and not part and grown > 0  # no bucket ends at the bound
        bad = max(0.0, grown - grown_part) if counter.part_is_good else min(grown_part, grown)
        carried, carried_bad = carried + grown, carried_bad + bad
        if n >= unasked:
            counts.append((None if unknown else carried_bad, carried if total else None))
            carried = carried_bad = 0.0
    return counts, Known(due[-1], total, part)
