"""What went wrong, for people: the incident report in Markdown, and what is to be done now (R8, R13). Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

from release_pipelines.core.model.observation import Observed, TrackStatus
from release_pipelines.core.model.records import RecordedVerdict, ReleaseDetail, Stability
from release_pipelines.core.model.release_id import ROLLBACK_DAG

REPORT = "incident.md"
"""Name of the report among a release's attachments."""
TOLD = ("notified", "not_notified")
"""Kinds of events about notifications, which come after the report."""


def incident_report(
    release: ReleaseDetail,
    environment: str,
    stability: Sequence[Stability] = (),
    plots: Sequence[str] = (),
    observed: Observed | None = None,
    more: Sequence[str] = (),
) -> str:
    """The whole story of a release in Markdown: what, when, why with numbers, who, the timeline, the plots, and what to do.

    :param environment: where it happened.
    :param stability: how all versions of the app did, newest first.
    :param plots: names of the plots that are attached to the release.
    :param observed: what runs in the environment now; None: it was not looked at.
    :param more: what other features have a person do, after that.
    """
    title = f"# {release.app} {release.version} in {environment}: {(release.outcome or 'running').replace('_', ' ')}"
    parts = [
        [title, "", f"> {_plain(release.sentence or 'It has not ended.')}"],
        ["## What to do now", "", *numbered([*what_to_do(release, environment, stability, observed), *more])],
        ["## What", "", *_table(("", ""), _what(release, environment))],
        ["## When (UTC)", "", *_table(("", "", ""), _when(release))],
        ["## Why", "", *_why(release)],
        ["## Who", "", *_table(("", "", ""), _who(release))],
        ["## Timeline (UTC)", "", *_table(("at", "what", ""), _timeline(release))],
    ]
    if plots:
        parts.append(["## Plots", "", *(f"- `{name}`" for name in plots)])
    if stability:
        headings = ("version", "promoted", "held", "rolled back", "aborted", "good to go back to")
        parts.append(["## How the versions did", "", *_table(headings, (_did(it) for it in stability[:10]))])
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def what_to_do(
    release: ReleaseDetail, environment: str, stability: Sequence[Stability] = (), observed: Observed | None = None
) -> list[str]:
    """The next steps of a person, in order, each one a sentence or two of Markdown.

    :param observed: what runs now; None: it was not looked at.
    """
    if release.outcome == "rollback_failed":
        return _rescue(release, environment, stability, observed)
    if release.outcome == "superseded":
        return [f"Nothing for this release: whoever took over has {environment} now."]
    if release.outcome in ("rolled_back", "aborted") and observed is not None and _served(observed) is None:
        return _rescue(release, environment, stability, observed)
    if release.outcome in ("rolled_back", "aborted"):
        seen = f" {where_the_traffic_is(observed)}" if observed else ""
        return [
            f"Nothing is urgent: {environment} is served.{seen}",
            f"Find the cause: {_where_to_look(release)}.",
            f"Release the repair under a new version: {release.version} stays what it was.",
        ]
    return ["Nothing."]


def _where_to_look(release: ReleaseDetail) -> str:
    """Where a person finds what speaks for or against the version."""
    if release.measurements or any(it.metrics for it in release.verdicts):
        return f"the numbers are below, and all of them with `release show {release.id}`"
    return f"nothing was judged by numbers, the sentence above says why, and `release show {release.id}` what happened"


def where_the_traffic_is(observed: Observed | None) -> str:
    """What serves, in a sentence."""
    if observed is None:
        return "It could not be seen where the traffic is."
    tracks = [observed.track("stable"), *(observed.track(track) for track in observed.beside)]
    sentences = [
        f"{it.track} runs {it.named} ({it.ready} of {it.wanted} ready) "
        f"with {observed.weight(it.track)} % of the traffic"
        for it in tracks
    ]
    text = "; ".join(sentences)
    return f"{text[0].upper()}{text[1:]}." if observed.route else "Nothing has traffic."


def numbered(steps: Sequence[str]) -> list[str]:
    """Steps as a numbered list."""
    return [f"{n}. {step}" for n, step in enumerate(steps, 1)]


def _rescue(
    release: ReleaseDetail, environment: str, stability: Sequence[Stability], observed: Observed | None
) -> list[str]:
    """Where the traffic is, whether that is safe, and the next command."""
    serving = _served(observed) if observed else None
    steps = [where_the_traffic_is(observed)]
    if observed is None:
        steps.append(f"Look at the route and the replicas of {release.app} in {environment} first.")
    elif serving is None:
        steps.append("Some of the traffic has no ready replica: act now.")
    else:
        steps.append(f"All of the traffic reaches ready replicas of {_named(serving)}: there is time to look.")
    dag = f"release_{release.app.replace('-', '_')}"
    urgent = f'trigger `{dag}` with a version that works, and `"urgent_reason"` to begin although stable is not healthy'
    if serving is not None and serving.track != "stable":
        steps += [
            f"Leave {serving.track} alone: it is what serves. Make stable ready with "
            f"{(observed and observed.track('stable').version) or release.version} (the reason is above: an image, a "
            "configuration, capacity).",
            f"Then release the next version with `{dag}`: it gives the traffic to stable first.",
        ]
        return [*steps, _see(release)]
    good = [it for it in stability if it.good and it.digest != release.digest]
    if good:
        conf = {"app": release.app, "environment": environment, "version": good[0].version, "reason": "…"}
        also = ", ".join(it.version for it in good[1:4])
        steps += [
            "Mend what the rollback failed of, if the reason above names something (an image, a configuration, capacity).",
            f"Go back to {good[0].version}{f' (or to {also})' if also else ''}: trigger `{ROLLBACK_DAG}`, or in a terminal: "
            f"`airflow dags trigger {ROLLBACK_DAG} --conf '{json.dumps(conf, ensure_ascii=False)}'`. "
            "It takes precedence over every release, and may be run again.",
        ]
    else:
        steps.append(f"No other version is known to be good. Go forward: {urgent}.")
    return [*steps, _see(release)]


def _see(release: ReleaseDetail) -> str:
    return f"See that it worked: `release show {release.app}` tells the newest run with its outcome."


def _served(observed: Observed) -> TrackStatus | None:
    """The track with the most traffic, if everything that has traffic is ready."""
    if observed.route is None:
        return None
    busy = [observed.track(it) for it, weight in observed.route.traffic.weights.items() if weight]
    if not busy or not all(it.ready for it in busy):
        return None
    return max(busy, key=lambda it: observed.weight(it.track))


def _named(track: TrackStatus) -> str:
    return f"{track.track} ({track.named})"


def _what(release: ReleaseDetail, environment: str) -> list[tuple[str, ...]]:
    facts = {
        "app": release.app,
        "version": release.version,
        "environment": environment,
        "image": f"{release.image}@{release.digest}" if release.digest else None,
        "commit": release.commit,
        "release": release.id,
        "outcome": release.outcome,
        "reason": release.reason,
        "notes": release.notes,
    }
    return [(name, value) for name, value in facts.items() if value]


def decided_at(release: ReleaseDetail) -> float | None:
    """When it was decided that the version goes: a verdict, an abort, or the rollback's plan, whichever came first."""
    verdict = _deciding(release)
    aborts = [it.at for it in release.commands if it.kind == "abort"]
    plans = [it.at for it in release.events if it.kind == "rollback"]
    return min([*([verdict.decided_at] if verdict else []), *aborts[:1], *plans[:1]], default=None)


def safe_at(release: ReleaseDetail) -> float | None:
    """When the traffic was known to be off the version: the router accepted it, or the rollback checked it."""
    verdict = _deciding(release)
    checked = [it.at for it in release.events if it.kind == "verified"]
    return min([*([verdict.accepted_at] if verdict and verdict.accepted_at else []), *checked[:1]], default=None)


def _deciding(release: ReleaseDetail) -> RecordedVerdict | None:
    """The last verdict, if it ended the release: one that was not passed and was followed by others decided nothing."""
    last = release.verdicts[-1] if release.verdicts else None
    return last if last and last.judgement != "pass" else None


def _when(release: ReleaseDetail) -> Iterator[tuple[str, ...]]:
    decided, safe = decided_at(release), safe_at(release)
    yield "started", _time(release.started_at), ""
    if decided is not None:
        yield "decided", _time(decided), f"{_lasted(decided - release.started_at)} after the start"
    if safe is not None:
        after = f"{_lasted(safe - decided)} after the decision" if decided is not None else ""
        yield "traffic safe", _time(safe), after
    elif release.outcome == "rollback_failed":
        yield "traffic safe", "not known", "see what to do now"
    for event in release.events:
        if event.kind == "unwatched":
            yield "unwatched", f"until {_time(event.at)}", event.sentence
    if release.ended_at is not None:
        yield "ended", _time(release.ended_at), f"{_lasted(release.ended_at - release.started_at)} in all"


def _why(release: ReleaseDetail) -> list[str]:
    rows: list[tuple[str, ...]] = [
        (verdict.environment, verdict.step, f"{verdict.weight} %", metric.metric, metric.judgement, metric.sentence)
        for verdict in release.verdicts
        for metric in verdict.metrics
    ]
    for verdict in release.verdicts:
        if not verdict.metrics:
            rows += [
                (verdict.environment, verdict.step, f"{verdict.weight} %", name, "not decided", numbers)
                for name, numbers in _measured(release, verdict)
            ]
    if not rows:
        return ["Nothing was judged by numbers: the sentence above says why."]
    return _table(("environment", "step", "traffic", "metric", "verdict", "numbers"), rows)


def _measured(release: ReleaseDetail, verdict: RecordedVerdict) -> Iterator[tuple[str, str]]:
    """What was measured in a step that something else than its numbers has ended: an abort, or replicas that were gone."""
    here = [it for it in release.measurements if (it.environment, it.step) == (verdict.environment, verdict.step)]
    for name in dict.fromkeys(it.metric for it in here):
        own = [it for it in here if it.metric == name]
        bad, total = (sum(getattr(it, key) or 0 for it in own) for key in ("bad", "total"))
        stable_bad, stable_total = (sum(getattr(it, key) or 0 for it in own) for key in ("stable_bad", "stable_total"))
        values = [it.value for it in own if it.value is not None]
        if total:
            beside = f" (stable: {stable_bad:,.0f} of {stable_total:,.0f})" if stable_total else ""
            yield name, f"{bad:,.0f} of {total:,.0f} were bad{beside}"
        elif values:
            yield name, f"{values[-1]:.6g} at last, {max(values):.6g} at most"
        else:
            errors = [it.error for it in own if it.error]
            yield name, errors[-1] if errors else "no number"


def _who(release: ReleaseDetail) -> Iterator[tuple[str, ...]]:
    yield "asked by", release.requester or "nobody named", _time(release.started_at)
    if release.started_by:
        yield "started by", release.started_by, _time(release.started_at)
    for answer in release.approvals:
        note = f": {answer.note}" if answer.note else ""
        yield answer.decision, f"{answer.by or 'nobody'}{note}", _time(answer.at)
    for command in release.commands:
        yield command.kind, f"{command.by}{f': {command.reason}' if command.reason else ''}", _time(command.at)


def _timeline(release: ReleaseDetail) -> list[tuple[str, ...]]:
    rows: list[tuple[float, str, str]] = [(release.started_at, "begun", f"by {release.requester or 'nobody named'}")]
    for event in release.events:
        if event.kind not in TOLD:
            place = f" ({event.environment})" if event.environment else ""
            rows.append((event.at, event.kind.replace("_", " ") + place, event.sentence))
    for verdict in release.verdicts:
        rows.append((verdict.decided_at, f"verdict of {verdict.step}: {verdict.judgement}", verdict.sentence))
        if verdict.accepted_at is not None and verdict.judgement != "pass":
            rows.append((verdict.accepted_at, "router", "has accepted what follows from the verdict"))
    for answer in release.approvals:
        rows.append(
            (answer.at, answer.decision, f"by {answer.by or 'nobody'}{f': {answer.note}' if answer.note else ''}")
        )
    for command in release.commands:
        rows.append((command.at, command.kind, f"by {command.by}{f': {command.reason}' if command.reason else ''}"))
    if release.ended_at is not None:
        rows.append((release.ended_at, "ended", release.outcome or ""))
    return [(_time(at), what, sentence) for at, what, sentence in sorted(rows, key=lambda row: row[0])]


def _did(it: Stability) -> tuple[str, ...]:
    counts = (it.promoted, it.held, it.rolled_back, it.aborted)
    return (it.version, *(str(count) for count in counts), f"{'yes' if it.good else 'no'}: {it.why}")


def _table(headings: Sequence[str], rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> list[str]:
    lines = [headings, ["---"] * len(headings), *([_plain(cell) for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _plain(text: str) -> str:
    """What people and machines said, as text of one line: it builds no table, link or element of its own."""
    text = " ".join(text.split()).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    for sign in "|`*[":
        text = text.replace(sign, f"\\{sign}")
    return text


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _lasted(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * max(0.0, seconds):.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
