"""A canary at one weight: watched, judged, and taken back at once when it is bad (R3 to R6)."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Literal

from release_pipelines.domain.analysis import action, step_verdict, ticks, window_at
from release_pipelines.domain.metrics import queries, sample_of
from release_pipelines.domain.values import (
    Artifact,
    MetricQuery,
    Observed,
    RouteNote,
    Sample,
    Track,
    Verdict,
    to_json,
)
from release_pipelines.hooks.prometheus import PrometheusError, PrometheusReader
from release_pipelines.platforms.base import FenceLost, Platform, PlatformError, PlatformUnavailable
from release_pipelines.spec.analysis import AnalysisSpec, MetricSpec
from release_pipelines.triggers.base import PlatformTrigger

LOOK_SECONDS = 5.0
"""Longest pause between two looks at replicas, weights and lease; measurements have their own interval."""
READY_LOOK_SECONDS = 0.5


class CanaryTrigger(PlatformTrigger):
    """Bring the canary to its capacity, give it its weight, and judge it until the step is decided.

    All that a restart needs is kept with the route: the step's clock, its weight, and its verdict, which is written
    together with the weights that follow from it. After a restart the measurements are asked for again, at the same
    absolute times, so that the verdict is the same.

    :param target: the app in its environment.
    :param release: the release's id.
    :param artifact: what runs on the canary.
    :param fence: the writer's fence.
    :param step: name of the step, like ``step_10`` or ``bake``.
    :param weight: percent of the traffic for the canary; 0 with ``track="stable"`` watches a first release (R17).
    :param replicas: replicas that the canary needs for that weight.
    :param hold: seconds that the canary is watched.
    :param analysis: the :class:`~release_pipelines.spec.models.AnalysisSpec` as a dict.
    :param on_drift: ``reassert`` or ``abort`` when somebody else changed the weights (R14).
    :param wait_for_person: a failing verdict returns the traffic and then waits for a person instead of ending (R18).
    :param track: the track that is watched.

    Event: ``{"verdict": Verdict, "samples": [Sample], "notes": [sentence]}``.
    """

    def __init__(
        self,
        *,
        target: dict[str, Any],
        release: str,
        artifact: dict[str, Any],
        fence: int,
        step: str,
        weight: int,
        replicas: int,
        hold: float,
        analysis: dict[str, Any],
        on_drift: Literal["reassert", "abort"] = "reassert",
        wait_for_person: bool = False,
        track: Track = "canary",
    ) -> None:
        super().__init__(
            target=target,
            release=release,
            artifact=artifact,
            fence=fence,
            step=step,
            weight=weight,
            replicas=replicas,
            hold=hold,
            analysis=analysis,
            on_drift=on_drift,
            wait_for_person=wait_for_person,
            track=track,
        )
        self.release = release
        self.artifact = Artifact.model_validate(artifact)
        self.fence = fence
        self.step = step
        self.weight = weight
        self.replicas = replicas
        self.hold = hold
        self.analysis = AnalysisSpec.model_validate(analysis)
        self.on_drift = on_drift
        self.wait_for_person = wait_for_person
        self.track: Track = track
        self.samples: dict[tuple[str, float], Sample] = {}
        self.notes: list[str] = []

    async def watch(self, platform: Platform) -> dict[str, Any]:
        observed = await self.insist(lambda: self._look(platform))
        note = observed.route.note if observed.route else RouteNote()
        if not self._mine(note) or note.started_at is None:
            failure = await self._raise_capacity(platform, serving=observed.weight(self.track) > 0)
            if failure:
                # The clock is this step's own, so that a restart asks for no measurements of an earlier one.
                own = note.model_copy(update={"started_at": time.time()})
                return await self._decide(platform, own, self._failed(failure))
            note = RouteNote(
                release=self.release,
                step=self.step,
                weight=self.weight,
                started_at=time.time(),
                last_good=note.last_good,
            )
            await self.insist(lambda: platform.split(self.target, self.weight, note, self.fence))
            self.log.info(
                "%s: the canary has %s %% of the traffic for at least %s s.", self.step, self.weight, self.hold
            )
        reader = await PrometheusReader.of(self.target.prometheus_connection)
        if note.verdict:  # decided before a restart: say it again, with the same measurements
            await self._measure(platform, reader, note.started_at or 0, note.verdict.decided_at)
            if self._needs_person(note.verdict):
                return await self._wait_for_person(platform, note, note.verdict)
            return self._event(note.verdict)
        started_at = note.started_at or time.time()
        while True:
            try:
                verdict = await self._check(platform, note)
            except PlatformUnavailable as error:  # what can be measured still decides: the router may answer in time
                self.log.warning("%s Judging on.", error)
                verdict = None
            verdict = verdict or await self._judge(platform, reader, started_at)
            if verdict is not None:
                if self._needs_person(verdict):
                    return await self._wait_for_person(platform, note, verdict)
                return await self._decide(platform, note, verdict)
            await asyncio.sleep(self._pause(started_at))

    def _mine(self, note: RouteNote) -> bool:
        return note.release == self.release and note.step == self.step

    def _pause(self, started_at: float) -> float:
        """Seconds until the next measurement is due, or the next look."""
        now, interval = time.time(), self.analysis.interval
        passed = now - started_at
        due = interval - passed % interval
        end = self.hold - passed
        return max(0.02, min(due + 0.01, LOOK_SECONDS, end + 0.01 if end > 0 else LOOK_SECONDS))

    async def _look(self, platform: Platform) -> Observed:
        """What stands now; raises FenceLost when the lease is not this release's any more."""
        observed = await platform.observe(self.target)
        if observed.lease is None or observed.lease.fence != self.fence:
            holder = observed.lease.holder if observed.lease else "nobody"
            raise FenceLost(
                f"The lease of {self.target.app} in {self.target.environment} is held by {holder}: "
                "this release has ended or was superseded, and changes nothing any more."
            )
        return observed

    def _still_mine(self, observed: Observed) -> None:
        """Raise FenceLost when the release has gone on to another step, or back: a person may have marked the task.

        The fence is the release's, and Airflow takes a moment to stop a trigger whose task is no longer deferred.
        """
        note = observed.route.note if observed.route else RouteNote()
        if note.release == self.release and note.step != self.step:
            raise FenceLost(
                f"{self.release} has gone on from {self.step} to {note.step}: this step changes nothing more."
            )

    async def _raise_capacity(self, platform: Platform, *, serving: bool) -> str | None:
        """R5: capacity before weight. Returns the reason why the replicas cannot become ready, or serve no more."""
        if self.track == "stable":
            return None
        await self.insist(lambda: platform.deploy(self.target, "canary", self.artifact, self.replicas, self.fence))
        while True:
            status = await self.insist(lambda: platform.advance(self.target, "canary", self.fence))
            if status.settled or status.failure:
                return status.failure
            if serving and not status.ready:
                return f"no replica of {self.artifact.version} is ready any more"
            await asyncio.sleep(READY_LOOK_SECONDS)

    async def _check(self, platform: Platform, note: RouteNote) -> Verdict | None:
        """Replicas, lease and weights. A failing verdict when the track died or the drift policy says so."""
        observed = await self._look(platform)
        self._still_mine(observed)
        status = observed.track(self.track)
        if status.failure or status.ready == 0:
            return self._failed(status.failure or f"no replica of {self.artifact.version} is ready any more")
        if status.digest != self.artifact.digest:
            return self._failed(f"the {self.track} runs {status.digest or 'nothing'}, not {self.artifact.digest}")
        if observed.weight("canary") != self.weight or not (observed.route and self._mine(observed.route.note)):
            who = (observed.route.changed_by if observed.route else None) or "somebody"
            said = f"{who} set the canary's weight to {observed.weight('canary')} %, {self.weight} % is wanted"
            if self.on_drift == "abort":
                return self._failed(said)
            self.notes.append(f"Drift: {said}; set again.")
            self.log.warning(self.notes[-1])
            await self.insist(lambda: platform.split(self.target, self.weight, note, self.fence))
        return None

    async def _judge(self, platform: Platform, reader: PrometheusReader, started_at: float) -> Verdict | None:
        await self._measure(platform, reader, started_at, time.time())
        verdict = step_verdict(
            self.step, self.weight, self.analysis, list(self.samples.values()), time.time(), started_at, self.hold
        )
        if verdict is not None:
            self.log.info(verdict.sentence)
        return verdict

    async def _measure(self, platform: Platform, reader: PrometheusReader, started_at: float, until: float) -> None:
        """Take every measurement that is due and not there yet, all metrics of a tick together."""
        for tick in ticks(started_at, self.analysis.interval, until):
            missing = [metric for metric in self.analysis.metrics if (metric.name, tick) not in self.samples]
            window = window_at(self.analysis, started_at, tick)
            taken = await asyncio.gather(*(self._sample(platform, reader, metric, window, tick) for metric in missing))
            for sample in taken:
                self.samples[sample.metric, tick] = sample

    async def _sample(
        self, platform: Platform, reader: PrometheusReader, metric: MetricSpec, window: float, tick: float
    ) -> Sample:
        if metric.source in ("cpu", "memory"):
            try:
                usage = await platform.usage(self.target, self.track)
            except PlatformError as error:  # a replica that has just gone, or an engine that is away: no measurement
                return Sample(metric=metric.name, at=tick, error=str(error))
            if usage is not None:
                value = usage.cpu if metric.source == "cpu" else usage.memory
                return sample_of(metric, tick, None, None, value)
        try:
            bad, total, value = await self._ask(reader, queries(self.target, metric, self.track, window), tick)
            sample = sample_of(metric, tick, bad, total, value)
            if metric.counts and self.track == "canary":
                beside = queries(self.target, metric, "stable", window)
                stable_bad, stable_total, _ = await self._ask(reader, beside, tick)
                sample = sample.model_copy(update={"stable_bad": stable_bad, "stable_total": stable_total})
        except PrometheusError as error:
            return Sample(metric=metric.name, at=tick, error=str(error))
        return sample

    @staticmethod
    async def _ask(reader: PrometheusReader, query: MetricQuery, tick: float) -> tuple[float | None, ...]:
        async def one(promql: str | None) -> float | None:
            return await reader.query(promql, tick) if promql else None

        return tuple(await asyncio.gather(one(query.bad), one(query.total), one(query.value)))

    def _failed(self, sentence: str) -> Verdict:
        return Verdict(judgement="fail", decided_at=time.time(), step=self.step, weight=self.weight, sentence=sentence)

    async def _decide(self, platform: Platform, note: RouteNote, verdict: Verdict) -> dict[str, Any]:
        """R4: the verdict, and the weights that follow from it, in one write; only then Airflow is told."""
        give_back = action(self.analysis, verdict) != "go_on"
        if not give_back:  # measuring may have taken a while
            self._still_mine(await self.insist(lambda: self._look(platform)))
        verdict = await self._write(platform, note, verdict, give_back=give_back)
        return self._event(verdict)

    async def _write(self, platform: Platform, note: RouteNote, verdict: Verdict, *, give_back: bool) -> Verdict:
        weight = 0 if give_back else self.weight
        kept = note.model_copy(
            update={"release": self.release, "step": self.step, "weight": weight, "verdict": verdict}
        )
        await self.insist(lambda: platform.split(self.target, weight, kept, self.fence))
        return verdict.model_copy(update={"accepted_at": time.time()})

    def _event(self, verdict: Verdict) -> dict[str, Any]:
        samples = sorted(self.samples.values(), key=lambda sample: (sample.at, sample.metric))
        return {"verdict": to_json(verdict), "samples": [to_json(sample) for sample in samples], "notes": self.notes}

    def _needs_person(self, verdict: Verdict) -> bool:
        todo = action(self.analysis, verdict)
        return todo == "hold" or (todo == "rollback" and self.wait_for_person)

    async def _wait_for_person(self, platform: Platform, note: RouteNote, verdict: Verdict) -> dict[str, Any]:
        """Stay until somebody marks the task as success (go on) or failed (roll back); only readiness is watched.

        Comes back with an event only when the track dies meanwhile and needs no person to go back.
        """
        keeps_traffic = action(self.analysis, verdict) == "hold"
        verdict = await self._write(platform, note, verdict, give_back=not keeps_traffic)
        self.log.warning(
            "%s Waiting for a person: mark this task as success to go on, as failed to roll back.", verdict.sentence
        )
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            observed = await self.insist(lambda: self._look(platform))
            self._still_mine(observed)
            status = observed.track(self.track)
            if keeps_traffic and (status.failure or status.ready == 0):
                failed = self._failed(status.failure or "no replica is ready")
                if not self.wait_for_person:
                    return await self._decide(platform, note, failed)
                await self._write(platform, note, failed, give_back=True)
                keeps_traffic = False
