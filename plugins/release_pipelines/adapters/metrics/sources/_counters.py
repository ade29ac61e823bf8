"""Raw counters: every event once, whatever is reset, appears late, missed a scrape, is answered by another replica or by nobody."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from release_pipelines.core.promql import duration, escaped

Series = Mapping[str, float]
"""Values of a counter's series at one moment, by labels."""
ByCounter = Mapping[str, Series]
"""The same of several counters, by their names."""
LABEL = "release_pipelines_counter"
"""The label that says which of several counters in one answer a series belongs to."""
AT_ONCE = 10
"""Maximum number of samples that are made of what was missed: a triggerer that starts anew has a thousand canaries to catch up with."""


class Counter(NamedTuple):
    """Selectors of raw counters whose growth is counted exactly, series by series."""

    total: tuple[str, ...]
    """All events; no two of them have a series in common."""
    part: tuple[str, ...]
    """Bad ones; or good ones, where ``part_is_good``."""
    part_is_good: bool


class Known(NamedTuple):
    """What was read of a counter last."""

    at: float
    """Unix time in seconds."""
    total: dict[str, float]
    part: dict[str, float]


def in_one_query(counters: Mapping[str, tuple[tuple[str, ...], float]]) -> str:
    """PromQL that gives all series of several counters, each with the counter's name as a label more.

    One question has one answer, and so one replica's numbers: of several behind one address each was scraped at moments of its own.

    :param counters: names to selectors, and to the seconds that a series may have missed its scrapes; 0: none.
    """
    texts = []
    for name, (selectors, look_back) in counters.items():
        for n, selector in enumerate(selectors):
            # A scrape that fails ends a series at once; what it last was is found in a range.
            seen = f"last_over_time({selector}[{duration(look_back)}])" if look_back >= 1 else selector
            texts.append(f'label_replace({seen}, "{LABEL}", "{escaped(f"{name} {n}")}", "", "")')
    return " or ".join(texts)


def by_counter(series: Series) -> ByCounter:
    """The series of one moment of such an answer, by the names of their counters."""
    found: dict[str, dict[str, float]] = {}
    for labels, value in series.items():
        found.setdefault(_name_in(labels), {})[labels] = value
    return found


@lru_cache(maxsize=65536)
def _name_in(labels: str) -> str:
    name: str = json.loads(labels).get(LABEL, "")
    return name.rpartition(" ")[0]


def thinning(due: int, needed: int) -> int:
    """Every how-many-th of so many moments is asked for, so that there are no more than are sampled at once.

    Each counts what happened since the one before. That keeps the sums, and a sequential test may be looked at as seldom as anybody likes.

    :param needed: so many measurements must pass: there are no fewer of them, as far as so many were due.
    """
    return max(1, min(math.ceil(due / AT_ONCE), due // needed))


def spans_of(start: float, end: float, interval: float, every: int, most: int) -> list[tuple[float, float, float]]:
    """Start, end and step of each question about the moments from ``start`` to ``end``, in seconds.

    :param every: intervals between two moments, counted from the end; what is left over comes first.
    :param most: maximum number of steps in a question.
    """
    whole, left = divmod(round((end - start) / interval), every)
    first, step = start + left * interval, every * interval
    spans = [(start, first, left * interval)] if left else []
    return spans + [(first + at * step, first + min(at + most, whole) * step, step) for at in range(0, whole, most)]


def growth(known: dict[str, float], before: Series, now: Series, *, born_at_zero: bool) -> float:
    """Events between two looks at a counter's series; ``known`` is brought up to date.

    A series that fell was reset, and counts from 0 again; one that is gone adds nothing. One that is a little behind what is known, but has
    not fallen in this answer, is told by another replica that scraped earlier: that counts nothing, and what is known stays.

    :param known: each series' last known value.
    :param before: the values of the moment before, in the same answer.
    :param born_at_zero: a series that was not there before began at 0; else it only becomes known.
    """
    grown = 0.0
    for name, value in now.items():
        last = known.get(name)
        if last is None:
            grown += value if born_at_zero else 0.0
        elif value >= last:
            grown += value - last
        elif value < before.get(name, -1.0) or value < last / 2:
            grown += value
        else:
            continue
        known[name] = value
    return grown


def counted(
    counter: Counter,
    known: Known | None,
    totals: Sequence[tuple[Series, Series]],
    parts: Sequence[tuple[Series, Series]],
    due: Mapping[int, float],
    *,
    served_before: bool,
) -> tuple[list[tuple[float | None, float | None]], Known]:
    """Bad and all events up to each moment that is due, and what is known then.

    What a moment that could not be asked about had counts in the next one.

    :param known: what was read last; None: nothing.
    :param totals: values of all events at every moment after that, or after the stage's start: at the moment before it in the same
        answer, and then; so ``parts``, for the part.
    :param due: Unix times in seconds, by their places among these moments; the last one is among them.
    :param served_before: whether the track had traffic before this stage. A version that has just got its first traffic counts
        from 0. Of one that served all the time a series that appears late is no jump, unless the others were there already: then
        it is a first error, say.
    """
    total, part = (dict(known.total), dict(known.part)) if known else (dict(totals[0][0]), dict(parts[0][0]))
    born = not served_before or bool(total)
    counts: list[tuple[float | None, float | None]] = []
    carried_bad = carried = 0.0
    for n, (of_total, of_part) in enumerate(zip(totals, parts, strict=True)):
        grown = growth(total, *of_total, born_at_zero=born)
        grown_part = growth(part, *of_part, born_at_zero=born)
        born = born or bool(total)
        unknown = counter.part_is_good and not part and grown > 0  # no bucket ends at the bound
        bad = max(0.0, grown - grown_part) if counter.part_is_good else min(grown_part, grown)
        carried, carried_bad = carried + grown, carried_bad + bad
        if n in due:
            counts.append((None if unknown else carried_bad, carried if total else None))
            carried = carried_bad = 0.0
    return counts, Known(max(due.values()), total, part)
