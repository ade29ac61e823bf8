"""Every metric: as it is measured now, or as it was last."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from release_pipelines.core.model.measurement import finite
from release_pipelines.core.model.progress import MetricNow, Progress, TrackNow
from release_pipelines.core.model.records import RecordedSample, RecordedVerdict, ReleaseDetail
from release_pipelines.core.model.sighting import Sighting
from release_pipelines.core.model.verdict import MetricVerdict
from release_pipelines.core.status.model import MetricStatus, Series, Span, Tracks
from release_pipelines.core.status.series import points_of
from release_pipelines.core.status.stages import last_place

NOT_MEASURED = "could not measure "
MOST_POINTS = 60
"""So many points of a metric in one step are told: what a chart of a few hundred pixels can show."""


def metrics_of(release: ReleaseDetail, told: Progress | None) -> list[MetricStatus]:
    """The metrics of the stage that goes on, then those that only an earlier one measured.

    :param told: what the stage tells that goes on; None: no stage does.
    """
    found: dict[str, MetricStatus] = {}
    if told is not None:
        for it in told.metrics:
            own = MetricNow.model_validate(it.model_dump()).model_dump()
            found[it.metric] = MetricStatus(**own, environment=told.environment, step=told.step, at=told.at, live=True)
    if told is not None and found:
        return list(found.values())
    for verdict in sorted(release.verdicts, key=lambda it: it.decided_at, reverse=True):
        for metric in verdict.metrics:
            if metric.metric not in found:
                found[metric.metric] = _of_verdict(release, verdict, metric)
    return list(found.values())


def _of_verdict(release: ReleaseDetail, verdict: RecordedVerdict, metric: MetricVerdict) -> MetricStatus:
    own = samples_of(release, verdict.environment, metric.metric, verdict.step)
    missing = metric.sentence.startswith(NOT_MEASURED)
    return MetricStatus(
        metric=metric.metric,
        label=metric.metric,
        unit="share" if any(it.total is not None for it in own) else "number",
        judgement=metric.judgement,
        value=metric.value,
        stable=_stable(own),
        limit=metric.limit,
        measurements=metric.measurements,
        evidence=metric.evidence,
        critical=metric.critical,
        missing=metric.sentence.removeprefix(NOT_MEASURED) if missing else None,
        sentence=metric.sentence,
        environment=verdict.environment,
        step=verdict.step,
        at=verdict.decided_at,
    )


def series_of(release: ReleaseDetail, told: Progress | None) -> list[Series]:
    """Every metric over all steps, in each environment.

    :param told: what the stage tells that goes on; None: no stage does.
    """
    samples: dict[tuple[str, str, str], list[RecordedSample]] = {}
    for it in release.measurements:
        samples.setdefault((it.environment, it.metric, it.step), []).append(it)
    limits = {
        (verdict.environment, metric.metric, verdict.step): metric.limit
        for verdict in release.verdicts
        for metric in verdict.metrics
    }
    live = {it.metric: it for it in told.metrics} if told else {}
    spans: dict[tuple[str, str], list[Span]] = {}
    for (environment, metric, step), own in samples.items():
        here = told is not None and (told.environment, told.step) == (environment, step) and metric in live
        limit = limits.get((environment, metric, step), live[metric].limit if metric in live else None)
        if limit is None:  # the step was ended by something else than its numbers
            limit = next((known for (_, name, _), known in limits.items() if name == metric), None)
        if not here:
            points = points_of(own, MOST_POINTS)
            spans.setdefault((environment, metric), []).append(Span(step=step, limit=limit, points=points))
    if told is not None:
        for metric, now in live.items():
            if now.points:
                span = Span(step=told.step, limit=now.limit, points=now.points)
                spans.setdefault((told.environment, metric), []).append(span)
    return [
        Series(
            environment=environment,
            metric=metric,
            label=live[metric].label if metric in live else metric,
            unit=live[metric].unit if metric in live else _unit(samples, environment, metric),
            spans=sorted(found, key=lambda it: it.points[0][0]),
        )
        for (environment, metric), found in spans.items()
    ]


def _unit(
    samples: Mapping[tuple[str, str, str], list[RecordedSample]], environment: str, metric: str
) -> Literal["share", "number"]:
    own = (it for key, found in samples.items() if key[:2] == (environment, metric) for it in found)
    return "share" if any(it.total is not None for it in own) else "number"


def samples_of(release: ReleaseDetail, environment: str, metric: str, step: str | None = None) -> list[RecordedSample]:
    """The samples of one metric, in all steps or in one."""
    return [
        it
        for it in release.measurements
        if it.metric == metric and it.environment == environment and step in (None, it.step)
    ]


def _stable(samples: Sequence[RecordedSample]) -> float | None:
    """What it was compared with, over all of a step."""
    pairs = [
        (bad, total)
        for it in samples
        if finite(bad := it.stable_bad) and finite(total := it.stable_total) and total > 0
    ]
    whole = math.fsum(total for _, total in pairs)
    return math.fsum(bad for bad, _ in pairs) / whole if whole else None


def tracks_of(release: ReleaseDetail, told: Progress | None, looked: Tracks | None) -> Tracks:
    """Who has which traffic, by the newest look: of whoever looks all the time, of the stage, or as events tell it.

    :param looked: the newest look of whoever looks all the time; None: nobody does.
    """
    known = [looked] if looked and looked.at is not None else []
    if told is not None and told.tracks and told.seen_at is not None:
        known.append(Tracks(at=told.seen_at, environment=told.environment, tracks=told.tracks, source="stage"))
    elif told is not None:
        known.append(_shares(release, told.at, told.environment, told.weight))
    elif release.outcome is None:
        given = [it for it in release.events if it.kind == "traffic" and isinstance((it.data or {}).get("weight"), int)]
        back = [it for it in release.events if it.kind == "rollback"]
        if given and not back:
            last = given[-1]
            known.append(_shares(release, last.at, last.environment, (last.data or {})["weight"]))
    return max(known, key=lambda it: it.at or 0.0, default=Tracks())


def looked(release: ReleaseDetail, sightings: Sequence[Sighting]) -> Tracks | None:
    """What whoever looks all the time has seen where a release works now; None: nothing.

    Of one that has ended it says nothing: by now others may have the traffic.

    :param sightings: of its app.
    """
    place = last_place(release)
    here = next((it for it in sightings if it.app == release.app and it.environment == place), None)
    if release.outcome is not None or here is None or here.observed_at is None:
        return None
    own = ("track", "weight", "ready", "wanted", "version", "digest")
    tracks = [TrackNow(**it.model_dump(include=set(own))) for it in here.tracks]
    return Tracks(at=here.observed_at, environment=place, tracks=tracks, source="observed")


def _shares(release: ReleaseDetail, at: float, environment: str | None, weight: int) -> Tracks:
    """Weights alone: replicas were not told."""
    told = release.progress.traffic if release.progress else ""
    beside = next((it for it in ("preview", "baseline") if f"the {it} has" in told), "canary")
    if told.startswith("stable has"):
        tracks = [TrackNow(track="stable", weight=None, version=release.version, digest=release.digest)]
    else:
        tracks = [
            TrackNow(track="stable", weight=100 - weight),
            TrackNow(track=beside, weight=weight, version=release.version, digest=release.digest),
        ]
    return Tracks(at=at, environment=environment, tracks=tracks, source="event")
