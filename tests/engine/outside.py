"""What a release meets: a platform that goes away and comes back, metrics, people, and a triggerer that dies anywhere."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

from release_pipelines.adapters.metrics.sources._counters import LABEL
from release_pipelines.core.errors import MetricsUnavailable, PlatformUnavailable
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.command import Command, CommandKind
from release_pipelines.core.model.observation import Observed, TrackStatus
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import Traffic
from tests.engine.virtual import Clock
from tests.fakes import GOOD, NEW, FakePlatform, World, artifact, counters_in

Measured = Literal["good", "bad", "none", "error", "hang"]


class Killed(BaseException):
    """The triggerer has died: nothing after this happens."""


class Triggerer:
    """A process: when it dies, none of its platform calls has an effect any more."""

    def __init__(self) -> None:
        self.dies_after: int | None = None
        self.before_the_effect = True
        self.dead = False

    def called(self, *, effect_done: bool) -> None:
        """Count a call; die at the one that is meant."""
        if self.dead:
            raise Killed
        if self.dies_after is None or effect_done is self.before_the_effect:
            return
        self.dies_after -= 1
        if self.dies_after <= 0:
            self.dead = True
            raise Killed


class TriggerersPlatform(FakePlatform):
    """The platform as a triggerer sees it."""

    def __init__(self, world: World, triggerer: Triggerer) -> None:
        super().__init__(world)
        self.triggerer = triggerer

    def _called(self, call: str) -> None:
        self.triggerer.called(effect_done=False)
        super()._called(call)

    def _wrote(self, call: str, what: Any) -> bool:
        result = super()._wrote(call, what)
        self.triggerer.called(effect_done=True)
        return result

    async def observe(self, target: Any) -> Observed:
        seen = await super().observe(target)
        await asyncio.sleep(0.02)  # an answer takes its time, in which others act
        return seen

    async def run(self, *_: Any, **__: Any) -> str:
        self._called("run")
        await asyncio.sleep(12)
        return "1 passed"


class Outside:
    """The world in memory with its troubles, and the metrics of the new version.

    :param clock: virtual time.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.world = World()
        self.world.before = self._before
        self.away_until = 0.0
        self.answers_lost = 0
        self.measured: Measured = "good"
        self._history: list[tuple[float, float, float]] = [(0.0, 50.0, 0.0)]
        self._was: dict[Track, TrackStatus] = {}
        self.world.runs("stable", artifact("1.0.0", GOOD), 2)

    def _before(self, call: str) -> None:
        if self.clock.now < self.away_until:
            raise PlatformUnavailable("The engine does not answer.")

    def lose_answers(self, wrote: bool) -> None:
        """A change was made, and its answer got lost."""
        if wrote and self.answers_lost:
            self.answers_lost -= 1
            raise PlatformUnavailable("The engine does not answer.")

    # --- replicas ---------------------------------------------------------------------------------------------

    def dies(self, track: Track) -> None:
        """All replicas of a track end."""
        if status := self.world.tracks.get(track):
            if status.ready:
                self._was[track] = status
            self.world.breaks(track)

    def recovers(self, track: Track) -> None:
        """They are started again by whoever looks after them."""
        now, was = self.world.tracks.get(track), self._was.pop(track, None)
        if now and was and now.digest == was.digest and not now.ready and now.digest not in self.world.broken:
            self.world.tracks[track] = now.model_copy(
                update={
                    "ready": min(was.ready, now.wanted),
                    "updated": min(was.updated, now.wanted),
                    "settled": was.settled,
                }
            )

    def new_share(self, traffic: Traffic | None) -> int:
        """Percent of the requests that the new version answers, testers and copies counted as one."""
        if traffic is None:
            return 0
        share = 0
        for track, weight in traffic.weights.items():
            status = self.world.tracks.get(track)
            if status and status.digest == NEW:
                share += weight
        return share + bool(traffic.testers or traffic.mirror)

    # --- metrics ----------------------------------------------------------------------------------------------

    def measure(self, kind: Measured) -> None:
        """How the new version does from now on, and whether anybody can tell."""
        self.measured = kind
        self._history.append((self.clock.now, 50.0, 0.3 if kind == "bad" else 0.0))

    def counted(self, until: float, bad: bool) -> float:
        """A counter of requests, or of failed ones, at a moment."""
        total, ends = 0.0, [*[it[0] for it in self._history[1:]], until]
        for (since, rate, share), end in zip(self._history, ends, strict=True):
            total += max(0.0, min(end, until) - since) * rate * (share if bad else 1.0)
        return total


class Metrics:
    """Stands in for the reader of Prometheus."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside

    async def _asked(self) -> bool:
        await asyncio.sleep(0.05)
        if self.outside.measured == "hang":
            await asyncio.sleep(10)
        if self.outside.measured in ("error", "hang"):
            raise MetricsUnavailable("Prometheus at http://metrics does not answer")
        return self.outside.measured != "none"

    def _value(self, query: str, at: float) -> float:
        new = "canary" in query or "preview" in query or self.outside.world.tracks["stable"].digest == NEW
        if "5.." in query:
            return self.outside.counted(at, bad=True) if new else 0.0
        return self.outside.counted(at, bad=False)

    async def query(self, promql: str, at: float) -> float | None:
        """Over the window before ``at``."""
        if not await self._asked():
            return None
        from tests.engine.virtual import EPOCH

        return self._value(promql, at - EPOCH) - self._value(promql, max(0.0, at - EPOCH - 10))

    async def series(self, promql: str, start: float, end: float, step: float) -> list[dict[str, float]]:
        """Raw counters, several in one question."""
        from tests.engine.virtual import EPOCH

        there = await self._asked()
        return [
            {
                json.dumps({LABEL: counter}): self._value(text, start - EPOCH + n * step)
                for text, counter in counters_in(promql)
                if there
            }
            for n in range(round((end - start) / step) + 1)
        ]


class People:
    """Stands in for the history: commands and their answers, and what is recorded."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.given: list[Command] = []
        self.told: list[str] = []
        self.promoted_at: float | None = None
        self.answer_to_question: str | None = None

    def command(self, release: str, kind: CommandKind, by: str = "bob", reason: str | None = "so be it") -> Command:
        """A person says something."""
        it = Command(id=len(self.given) + 1, release_id=release, kind=kind, by=by, reason=reason, at=self.clock.time())
        self.given.append(it)
        return it

    def commands_of(self, releases: list[str]) -> list[Command]:
        return list(self.given)

    def commands(self, release: str, *, open_only: bool = False) -> list[Command]:
        return [it for it in self.given if not open_only or it.answered_at is None]

    def answer(self, number: int, effect: str) -> None:
        it = self.given[number - 1]
        if it.answered_at is None:
            self.given[number - 1] = it.model_copy(update={"answered_at": self.clock.time(), "effect": effect})

    def standing(self, kind: CommandKind) -> Command | None:
        """The last command of a kind that was answered with an effect."""
        return next((it for it in reversed(self.given) if it.kind == kind and it.answered_at), None)

    @property
    def paused(self) -> bool:
        """Whether a pause has been taken up, and nobody has said to go on since."""
        said = [it for it in self.given if it.kind in ("pause", "resume")]
        return bool(said) and said[-1].kind == "pause" and said[-1].answered_at is not None

    # --- what operators tell ----------------------------------------------------------------------------------

    def begin(self, *_: Any) -> None:
        """Known already."""

    def record_event(self, release: str, kind: str, sentence: str, *_: Any) -> None:
        self.told.append(sentence)

    def record_verdict(self, release: str, environment: str, verdict: Any, samples: list[Any]) -> None:
        self.told.append(verdict.sentence)

    def record_approval(self, *_: Any) -> None:
        """Kept elsewhere."""

    def promoted(self, release: str) -> None:
        self.promoted_at = self.clock.time()

    def versions_of(self, app: str, digest: str) -> set[str]:
        return {"1.0.0"} if digest == GOOD else set()

    def last_good(self, app: str, environment: str, *, excluding: str | None = None) -> Artifact:
        return artifact("1.0.0", GOOD)
