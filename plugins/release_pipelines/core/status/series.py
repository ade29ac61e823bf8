"""A metric's numbers over time: what the new version and stable had, thinned out to what an eye can tell apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

from release_pipelines.core.model.measurement import Sample, finite
from release_pipelines.core.model.progress import Point

MOST_POINTS = 240
"""Longer series are summed up to so many points: what an eye can tell apart, in an SVG of some tens of kilobytes."""

S = TypeVar("S", bound=Sample)


def points_of(samples: Sequence[Sample], most: int = MOST_POINTS) -> list[Point]:
    """The numbers of one metric's samples, in order of time."""
    return [(it.at, of_new(it), of_stable(it)) for it in thinned(samples, most)]


def thinned(samples: Sequence[S], most: int = MOST_POINTS) -> list[S]:
    """At most ``most`` samples in order of time: neighbours are counted together; of a gauge the highest stays."""
    ordered = sorted(samples, key=lambda it: it.at)
    size = max(1, math.ceil(len(ordered) / most))
    return [_together(ordered[n : n + size]) for n in range(0, len(ordered), size)]


def _together(samples: Sequence[S]) -> S:
    if len(samples) == 1:
        return samples[0]
    totals = {
        name: _sum(getattr(it, name) for it in samples) for name in ("bad", "total", "stable_bad", "stable_total")
    }
    values = [value for it in samples if finite(value := it.value)]
    return samples[-1].model_copy(update={**totals, "value": max(values) if values else None})


def of_new(sample: Sample) -> float | None:
    """The new version's number; None: there was none."""
    if finite(sample.total):
        return sample.bad / sample.total if sample.total and finite(sample.bad) else None
    return sample.value if finite(sample.value) else None


def of_stable(sample: Sample) -> float | None:
    """Stable's, or that of whatever it was compared with."""
    if not finite(sample.stable_total) or not sample.stable_total or not finite(sample.stable_bad):
        return None
    return sample.stable_bad / sample.stable_total


def _sum(values: Iterable[float | None]) -> float | None:
    known = [it for it in values if finite(it)]
    return sum(known) if known else None
