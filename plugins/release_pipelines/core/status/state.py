"""The state of one release, put together: the one function behind its page, its stream and the command."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from release_pipelines.core.model.records import ReleaseDetail
from release_pipelines.core.model.sighting import Sighting
from release_pipelines.core.status.clock import clock_of, live
from release_pipelines.core.status.deployed import deployed_of
from release_pipelines.core.status.metrics import metrics_of, seen_in, series_of, tracks_of
from release_pipelines.core.status.model import Clock, Line, ReleaseStatus, Said, StageStatus
from release_pipelines.core.status.said import said_of
from release_pipelines.core.status.stages import stages_of
from release_pipelines.core.status.way_back import way_back_of


def line_in(text: str | None) -> Line | None:
    """The parts of a release in that attachment; None where there is none, or a damaged one."""
    try:
        return Line.model_validate_json(text) if text else None
    except ValueError:
        return None


def status_of(
    release: ReleaseDetail,
    *,
    now: float,
    line: Line | None = None,
    texts: Mapping[str, str] | None = None,
    attached: Collection[str] = (),
    looked: Sequence[Sighting] = (),
    remarks: Sequence[Said] = (),
    who: str | None = None,
) -> ReleaseStatus:
    """The state of a release.

    :param release: with its records.
    :param now: Unix time in seconds.
    :param line: its parts by its specification; None: only what happened is known.
    :param texts: contents of attachments by name: commits and findings.
    :param attached: the names of all of its attachments.
    :param looked: what was last seen of its app, by whoever looks all the time.
    :param remarks: what people have added.
    :param who: who may answer its questions, in words; None: that is not known.
    """
    told, stages = live(release), stages_of(release, line)
    clock = clock_of(release, stages, line, now, who=who)
    here = next((it for it in stages if it.state in ("now", "failed")), None)
    last = (line.environment if line else None) or next(
        (it.environment for it in reversed(stages) if it.environment), None
    )
    environment = (told.environment if told else here.environment if here else None) or last
    return ReleaseStatus(
        id=release.id,
        app=release.app,
        version=release.version,
        environment=environment,
        outcome=release.outcome,
        at=now,
        sentence=release.sentence or _sentence(release, here, clock),
        stages=stages,
        tracks=tracks_of(release, told, seen_in(environment, looked)),
        clock=clock,
        metrics=metrics_of(release, told),
        series=series_of(release, told),
        measured=told.measured if told else [],
        missing=told.missing if told else [],
        deployed=deployed_of(release, line, texts or {}, attached),
        said=said_of(release, remarks),
        way_back=way_back_of(release, last),
    )


def _sentence(release: ReleaseDetail, here: StageStatus | None, clock: Clock) -> str:
    """What goes on, where nothing has ended yet."""
    if release.outcome is not None:
        return f"It has ended: {release.outcome.replace('_', ' ')}."
    if here is not None and here.state == "failed" and clock.waits_for == "work":
        return f"{here.name} has failed{f': {here.sentence}' if here.sentence else ''}."
    told = live(release)
    return f"{told.step} in {told.environment}: {told.traffic}." if told else clock.sentence
