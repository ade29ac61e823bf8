"""Releases at a moment of their lives, as the history has them. All of them began at :data:`T`."""

from __future__ import annotations

from typing import Any

from release_pipelines.core.model.command import Command, CommandKind
from release_pipelines.core.model.progress import MetricNow, Progress, TrackNow
from release_pipelines.core.model.records import Approval, Event, RecordedSample, RecordedVerdict, ReleaseDetail
from release_pipelines.core.model.verdict import MetricVerdict
from release_pipelines.core.status.model import Line, Planned

T = 1_790_000_000.0
ID = "release_shop/manual__1#0"
NEW, OLD = "sha256:" + "a" * 64, "sha256:" + "b" * 64
LINE = Line(
    stages=[
        Planned(name="preflight", kind="preflight"),
        Planned(name="image", kind="build"),
        Planned(name="staging", kind="environment", environment="staging"),
        Planned(name="approval", kind="approval", timeout=1800),
        Planned(name="canary_deploy", kind="deploy", environment="production"),
        Planned(name="step_10", kind="stage", environment="production", weight=10),
        Planned(name="step_50", kind="stage", environment="production", weight=50),
        Planned(name="bake", kind="stage", environment="production", weight=100),
        Planned(name="promote", kind="promotion", environment="production"),
    ],
    strategy="canary",
    environment="production",
    repository="git@github.com:acme/shop.git",
)


def event(
    after: float, kind: str, environment: str | None = None, data: dict[str, Any] | None = None, sentence: str = ""
) -> Event:
    return Event(at=T + after, kind=kind, environment=environment, sentence=sentence or f"{kind}.", data=data)


def deployed(after: float, environment: str, **more: Any) -> Event:
    data = {"environment": environment, "previous_version": "1.0.0", "previous_digest": OLD, **more}
    return event(after, "deployed", environment, data)


def traffic(after: float, step: str, weight: int) -> Event:
    return event(after, "traffic", "production", {"step": step, "weight": weight, "at": T + after})


CHECKED, STAGING, ASKED = event(2, "checked"), deployed(60, "staging"), event(90, "asked")
APPROVED = Approval(release_id=ID, digest=NEW, decision="approved", by="bob", at=T + 100, note="looks good")
PRODUCTION = deployed(110, "production")
STEP_10, STEP_50, BAKE = traffic(120, "step_10", 10), traffic(420, "step_50", 50), traffic(720, "bake", 100)


def verdict(after: float, step: str, weight: int, judgement: str = "pass", value: float = 0.002) -> RecordedVerdict:
    sentence = f"error rate {100 * value:g} % over 1,000 requests, limit 1 %"
    metric = MetricVerdict(
        metric="errors",
        judgement=judgement,  # type: ignore[arg-type]
        value=value,
        limit=0.01,
        measurements=30,
        evidence=-1.5,
        sentence=sentence,
    )
    return RecordedVerdict(
        environment="production",
        judgement=judgement,  # type: ignore[arg-type]
        decided_at=T + after,
        accepted_at=T + after + 0.2,
        step=step,
        weight=weight,
        metrics=[metric],
        sentence=sentence,
    )


def samples(first: float, step: str, count: int = 30, metric: str = "errors") -> list[RecordedSample]:
    return [
        RecordedSample(
            metric=metric, at=T + first + 10 * n, bad=2, total=1000, stable_bad=1, stable_total=1000,
            environment="production", step=step,
        )
        for n in range(count)
    ]  # fmt: skip


def command(after: float, kind: CommandKind, by: str = "carol", **more: Any) -> Command:
    return Command(id=1, release_id=ID, kind=kind, by=by, at=T + after, **more)


def holding(after: float, step: str = "step_10", weight: int = 10, **more: Any) -> Progress:
    """What a stage tells that got its traffic at 120 s and holds for at least two and at most five minutes."""
    told: dict[str, Any] = {
        "at": T + after,
        "environment": "production",
        "step": step,
        "weight": weight,
        "traffic": f"the canary has {weight} % of the traffic",
        "measured": ["error rate 0.2 % over 1,204 requests, limit 1 % (stable: 0.1 %)"],
        "missing": ["cpu: the query gave no number"],
        "earliest": T + 240,
        "latest": T + 420,
        "patience": 60.0,
        "began_at": T + 120,
        "seen_at": T + after - 3,
        "tracks": [
            TrackNow(track="stable", weight=100 - weight, ready=4, wanted=4, version="1.0.0", digest=OLD),
            TrackNow(track="canary", weight=weight, ready=1, wanted=1, version="1.1.0", digest=NEW),
        ],
        "metrics": [
            MetricNow(
                metric="errors",
                label="error rate",
                unit="share",
                judgement="pass",
                value=0.002,
                stable=0.001,
                limit=0.01,
                measurements=12,
                evidence=0.4,
                threshold=7.6,
                sentence="error rate 0.2 % over 1,204 requests, limit 1 % (stable: 0.1 %)",
                points=[(T + 130 + 10 * n, 0.002, 0.001) for n in range(12)],
            ),
            MetricNow(
                metric="cpu",
                label="CPU",
                unit="share",
                judgement="inconclusive",
                limit=0.8,
                critical=False,
                missing="cpu: the query gave no number",
                sentence="could not measure cpu: the query gave no number",
            ),
        ],
    }
    return Progress(**{**told, **more})


def release(**more: Any) -> ReleaseDetail:
    """One that has just begun, with what a test adds."""
    told: dict[str, Any] = {
        "id": ID,
        "app": "shop",
        "dag_id": "release_shop",
        "run_id": "manual__1",
        "version": "1.1.0",
        "requester": "alice",
        "started_at": T,
        "notes": "the new basket",
    }
    return ReleaseDetail(**{**told, **more})


def bound(**more: Any) -> ReleaseDetail:
    """One whose image is known."""
    return release(**{"digest": NEW, "image": "registry.example/shop", "commit": "c0ffee1234", **more})


def in_step_10(**more: Any) -> ReleaseDetail:
    """One that holds at 10 %."""
    told: dict[str, Any] = {
        "events": [CHECKED, STAGING, ASKED, PRODUCTION, STEP_10],
        "approvals": [APPROVED],
        "progress": holding(250),
    }
    return bound(**{**told, **more})
