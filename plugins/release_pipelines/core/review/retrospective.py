"""What was expected of a release, and what happened: as far as the history knows it by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from release_pipelines.core.model.records import ReleaseDetail
from release_pipelines.core.model.units import lasting
from release_pipelines.core.review.stages import measured, steps


@dataclass(frozen=True)
class Retrospective:
    """Facts of both sides, each a name and a sentence or a number in words."""

    expected: list[tuple[str, str]]
    happened: list[tuple[str, str]]


def retrospective(release: ReleaseDetail, before: Sequence[float] = ()) -> Retrospective:
    """What was expected, and what happened.

    :param before: how long the app's good releases before it took in all, in seconds.
    """
    return Retrospective(list(_expected(release, before)), list(_happened(release)))


def _expected(release: ReleaseDetail, before: Sequence[float]) -> Iterator[tuple[str, str]]:
    if release.notes:
        yield "change notes", release.notes
    if release.reason:
        yield "why it was urgent", release.reason
    limits = dict.fromkeys((it.metric, it.limit) for it in measured(release) if it.limit is not None)
    for metric, limit in limits:
        yield f"limit of {metric}", f"{limit:g}"
    if before:
        count = len(before)
        yield (
            "duration",
            f"{lasting(median(before))}: the median of the last {count} good release{'s' if count != 1 else ''} before it",
        )


def _happened(release: ReleaseDetail) -> Iterator[tuple[str, str]]:
    yield "outcome", (release.outcome or "running").replace("_", " ")
    if release.sentence:
        yield "why", release.sentence
    for step in steps(release):
        took = f" after {lasting(step.seconds)}" if step.seconds is not None else ""
        yield f"{step.name} in {step.environment} ({step.weight} %)", f"{step.judgement}{took}: {step.sentence}"
    if release.ended_at is not None:
        yield "duration", lasting(max(0.0, release.ended_at - release.started_at))
