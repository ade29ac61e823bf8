"""The strategy engine against everything at once: whatever happens, traffic is safe and every run ends with the truth."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from types import ModuleType
from typing import Any

import pytest
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk.exceptions import AirflowException, TaskAwaitingInput
from airflow.triggers.base import TriggerEvent
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import tests.fakes
from release_pipelines.adapters import entry as entry_adapter
from release_pipelines.airflow import commands as controls
from release_pipelines.airflow import rollouts
from release_pipelines.airflow.hooks import prometheus
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.observation import Answer
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import Traffic
from release_pipelines.core.progression import (
    capacity,
    closing,
    decision,
    heartbeat,
    hold,
    judging,
    meanwhile,
    missing,
    promotion,
    retirement,
    returning,
    stage,
    telling,
    watch,
)
from release_pipelines.features.deployment import operators as deploy
from release_pipelines.features.lease import operators as lease_operators
from release_pipelines.features.rollback.operators import planned as rollback
from release_pipelines.spec.app import AppSpec
from release_pipelines.spec.environment import EnvironmentSpec
from release_pipelines.spec.release import ReleaseSpec
from tests.engine.airflow import RELEASE, Run
from tests.engine.outside import Measured, Metrics, Outside, People, TriggerersPlatform
from tests.engine.virtual import Clock, VirtualLoop
from tests.fakes import GOOD, NEW, target

LONGEST = 3000.0
"""Virtual seconds in which every release has ended when nothing goes wrong any more."""

ANALYSIS: dict[str, Any] = {
    "interval": 5,
    "window": 10,
    "patience": 15,
    "error_limit": 2,
    "metrics": [{"name": "errors", "source": "errors", "limit": "1%"}],
}
CANARY = {
    "steps": [
        {"match": {"header": "X-Tester", "value": "yes"}, "hold": "10s"},
        {"weight": 10, "hold": {"min": "10s", "max": "30s"}},
        {"verify": {"command": ["check"]}},
        {"weight": 50, "hold": "15s"},
        {"approval": {"timeout": "1h"}},
    ],
    "bake": "20s",
    "retire_after": "5s",
}
STRATEGIES: list[dict[str, Any]] = [
    {"canary": CANARY},
    {"canary": {**CANARY, "auto_rollback": False, "replicas": 1, "on_drift": "abort"}},
    {"canary": {"steps": [{"mirror": 20, "hold": "10s"}, {"weight": 30, "hold": "20s"}], "bake": "10s"}},
    {"blue_green": {"bake": "20s", "retire_after": "10s"}},
    {"blue_green": {"bake": "20s", "auto_promote": False, "auto_rollback": False}},
    {"rolling": {"batches": [50], "hold": "15s", "bake": "20s"}},
    {"rolling": {"bake": "20s", "auto_rollback": False, "max_unavailable": 1}},
]
AFTER = st.sampled_from([0.0, 0.3, 1.0, 3.0, 7.0, 15.0])
"""Seconds that pass after something has happened."""
TRACKS = st.sampled_from(["stable", "canary", "preview"])
OUTCOMES = {"released", "rolled_back", "aborted", "rollback_failed", "failed"}


def spec(strategy: dict[str, Any], analysis: dict[str, Any]) -> ReleaseSpec:
    """The app ``shop`` with a strategy."""
    where = EnvironmentSpec.model_validate(
        {
            "name": "production",
            "platform": "container_host",
            "connections": {"platform": "platform", "engine": "e", "registry": "registry", "prometheus": "prometheus"},
            "namespace": "shop",
            "address": {"url": "http://127.0.0.1:1", "host": "shop"},
            "approvers": ["bob"],
        }
    )
    app = AppSpec.model_validate({"name": "shop", "workloads": [{"replicas": 2}], "strategy": strategy})
    return ReleaseSpec.model_validate({"app": app, "environments": [where], "analysis": {**ANALYSIS, **analysis}})


class Engine(RuleBasedStateMachine):
    """A release in which anything may happen at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.loop = VirtualLoop(self.clock)
        asyncio.set_event_loop(self.loop)
        self.outside = Outside(self.clock)
        self.people = People(self.clock)
        self.world = self.outside.world
        self.world.after = self.wrote
        self.last: Traffic | None = None
        self.wrong: list[str] = []
        self.patched = pytest.MonkeyPatch()
        self._patch()

    def _patch(self) -> None:
        """The boundaries: time, the platform's client, Prometheus, the history, the form's answer, requests."""
        patch = self.patched.setattr
        modules: list[ModuleType] = [
            stage,
            hold,
            decision,
            meanwhile,
            watch,
            judging,
            capacity,
            missing,
            closing,
            telling,
            promotion,
            returning,
            retirement,
            heartbeat,
            controls,
            deploy,
            lease_operators,
            rollouts,
            rollback,
        ]
        for module in [*modules, tests.fakes]:
            patch(module, "time", self.clock)
        loop, people, world = self.loop, self.people, self.world

        async def aplatform(hook: Any) -> Any:
            return TriggerersPlatform(world, self.run.triggerer)

        async def answered(_: Any) -> TriggerEvent | None:
            await asyncio.sleep(0)
            if not people.answer_to_question:
                return None
            user = {"id": "bob", "name": "bob"}
            said = {"chosen_options": [people.answer_to_question], "responded_by_user": user, "params_input": {}}
            return TriggerEvent({**said, "responded_at": datetime.now(timezone.utc), "timedout": False})

        async def entry(_: Target, path: str) -> Answer | None:
            served = [it for it, share in self.traffic.weights.items() if share and self.ready(it)]
            return Answer(status=200, version=world.tracks[served[0]].version) if served else None

        def smoke(_: Target, paths: list[str], version: str | None) -> None:
            serving = [it for it, share in self.traffic.weights.items() if share]
            if any(not self.ready(it) or world.tracks[it].version != version for it in serving):
                raise AirflowException(f"/: {version} was expected.")

        def asks(*_: Any, **__: Any) -> None:
            raise TaskAwaitingInput(method_name="execute_complete", timeout=None)

        async def history(_: Any) -> People:
            return people

        async def reader(_: str) -> Metrics:
            return Metrics(self.outside)

        patch(PlatformHook, "call", lambda hook, work: loop.run_until_complete(work(world.platform())))
        patch(PlatformHook, "aplatform", aplatform)
        patch(HistoryHook, "history", lambda _: people)
        patch(HistoryHook, "ahistory", history)
        patch(prometheus, "open_metrics", reader)
        patch(HITLTrigger, "_handle_response", answered)
        patch(HITLOperator, "execute", asks)
        patch(entry_adapter, "ask", entry)
        patch(rollback, "smoke_test", smoke)

    @property
    def traffic(self) -> Traffic:
        """Who gets which requests now."""
        return self.world.route.traffic if self.world.route else Traffic(weights={"stable": 100})

    def ready(self, track: Track) -> bool:
        """Whether a track has a ready replica."""
        return track in self.world.tracks and self.world.tracks[track].ready > 0

    # --- what holds after every write -----------------------------------------------------------------------------

    def wrote(self, call: str) -> None:
        """Look at a change that was just made; what is wrong is said at the end too, whoever swallows it here."""
        try:
            self._look_at(call)
        except AssertionError as error:
            self.wrong.append(str(error))
            raise

    def _look_at(self, call: str) -> None:
        if call == "advance":
            return
        _, what = self.world.writes[-1]
        if call == "split":
            self._split(what[0])
        if call == "deploy" and self.people.paused and not self.people.standing("abort"):
            track, digest, _ = what
            serves = track == "stable" and digest == NEW and self.ready("stable")
            assert not serves or self._stands_still(), "paused, and stable gets the new version"
        self.outside.lose_answers(call in ("split", "deploy", "retire"))

    def _stands_still(self) -> bool:
        """A rolling update was stopped, or stable gets no traffic while it is changed (promotion)."""
        return self.world.shares["stable"] < 100 or self.traffic.weight("stable") == 0

    def _split(self, now: Traffic) -> None:
        before = self.last or Traffic(weights={"stable": 100})
        self.last = now
        assert sum(now.weights.values()) == 100  # R5
        for track in ("canary", "preview", "baseline"):
            got_more = now.weight(track) > before.weight(track)
            assert self.ready(track) or not got_more, f"{track} gets traffic and has no ready replica"  # R5
        lost = [it for it, share in before.weights.items() if now.weight(it) < share]
        safer = any(not self.ready(it) for it in lost)
        more = self.outside.new_share(now) > self.outside.new_share(before)
        if self.people.paused and not self.people.standing("abort"):
            assert not more or safer, f"paused, and the new version gets more: {before} → {now}"
        if self.people.standing("abort") and more and not safer:
            # in a promotion the track that held serves until stable has the old version again
            assert self.world.note.step == "aborted", f"aborted, and the new version gets more: {before} → {now}"

    # --- events ---------------------------------------------------------------------------------------------------

    @initialize(
        strategy=st.sampled_from(STRATEGIES),
        judge=st.sampled_from(["sequential", "threshold"]),
        on=st.sampled_from(["rollback", "hold", "continue"]),
    )
    def begin(self, strategy: dict[str, Any], judge: str, on: str) -> None:
        """A release of some strategy begins."""
        it = spec(strategy, {"judge": judge, "on_inconclusive": on, "on_error": on})
        self.run = Run(self.loop, it, target(), self.outside, self.people)

    @rule(after=AFTER, kind=st.sampled_from(["good", "good", "bad", "bad", "none", "error", "hang"]))
    def measures(self, after: float, kind: Measured) -> None:
        self.outside.measure(kind)
        self.run.pass_time(after)

    @rule(after=AFTER, calls=st.integers(1, 8), before=st.booleans())
    def triggerer_dies_at_a_call(self, after: float, calls: int, before: bool) -> None:
        self.run.triggerer.dies_after = calls
        self.run.triggerer.before_the_effect = before
        self.run.pass_time(after)

    @rule(after=AFTER)
    def triggerer_dies_now(self, after: float) -> None:
        self.run.kill()
        self.run.pass_time(after)

    @rule(after=AFTER, track=TRACKS)
    def replicas_die(self, after: float, track: Track) -> None:
        self.outside.dies(track)
        self.run.pass_time(after)

    @rule(after=AFTER, track=TRACKS)
    def replicas_recover(self, after: float, track: Track) -> None:
        self.outside.recovers(track)
        self.run.pass_time(after)

    @rule(after=AFTER, broken=st.booleans())
    def new_version_cannot_start(self, after: float, broken: bool) -> None:
        self.world.broken = {NEW: "crash loop: no module named shop"} if broken else {}
        self.run.pass_time(after)

    @rule(after=AFTER, seconds=st.sampled_from([0.5, 3.0, 8.0, 20.0]))
    def platform_is_away(self, after: float, seconds: float) -> None:
        self.outside.away_until = self.clock.now + seconds
        self.run.pass_time(after)

    @rule(after=AFTER)
    def an_answer_is_lost(self, after: float) -> None:
        self.outside.answers_lost = 1
        self.run.pass_time(after)

    @precondition(lambda self: self.world.route is not None and not {"plan", "give_back"} & set(self.run.order))
    @rule(after=AFTER, weight=st.sampled_from([0, 30, 100]), track=st.sampled_from(["canary", "preview"]))
    def somebody_changes_the_weights(self, after: float, weight: int, track: Track) -> None:
        if self.ready(track) and self.ready("stable"):
            assert self.world.route
            traffic = Traffic(weights={"stable": 100 - weight, track: weight})
            self.world.route = self.world.route.model_copy(update={"traffic": traffic, "changed_by": "argocd"})
        self.run.pass_time(after)

    @rule(after=AFTER, kind=st.sampled_from(["pause", "resume", "skip", "promote", "abort"]))
    def somebody_says(self, after: float, kind: Any) -> None:
        self.people.command(RELEASE, kind)
        self.run.pass_time(after)

    @rule(after=AFTER, option=st.sampled_from(["Approve", "Approve", "Reject"]))
    def somebody_answers(self, after: float, option: str) -> None:
        self.people.answer_to_question = option
        self.run.pass_time(after)

    @rule(seconds=st.sampled_from([2.0, 5.0, 12.0, 12.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.run.pass_time(seconds)

    # --- the end --------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self._end()
        finally:
            self.patched.undo()
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(0))
            asyncio.set_event_loop(None)
            self.loop.close()

    def _end(self) -> None:
        """Nothing goes wrong any more, and whoever is waited for answers: then the release ends, and says the truth."""
        if not hasattr(self, "run"):
            return
        self.outside.away_until, self.world.broken, self.outside.answers_lost = 0.0, {}, 0
        for track in list(self.world.tracks):
            self.outside.recovers(track)
        self.people.answer_to_question = self.people.answer_to_question or "Approve"
        self.people.command(RELEASE, "resume")
        self.run.pass_time(LONGEST / 2)
        self.people.command(RELEASE, "abort")  # who is still waited for says no
        self.run.pass_time(LONGEST / 2)
        assert not self.wrong
        assert self.run.outcome is not None, f"it never ends: {self.run.order}, {self.world.note}"
        self.check_the_end(self.run.outcome, self.run.sentence)

    def check_the_end(self, outcome: str, sentence: str) -> None:
        """The outcome is one of those that there are, and true."""
        assert outcome in OUTCOMES
        stable, told = (
            self.world.tracks["stable"],
            f"{outcome}: {sentence} {self.run.states} {to_json(self.world.note)}",
        )
        assert self.world.lease is None, told
        if outcome == "released":
            aborted = self.people.standing("abort")
            assert aborted is None or "too late" in (aborted.effect or ""), told
            assert stable.digest == NEW, told
            assert self.traffic.weight("stable") == 100, told
        elif outcome == "rollback_failed":
            assert sentence, told
        else:
            assert stable.digest == GOOD, told  # R8: never the bad version after a rollback
            assert stable.updated == stable.wanted == stable.ready or not stable.ready, told
            assert self.traffic.weight("stable") == 100, told
        if outcome == "released" or self.run.states.get("clean_up") == "success":
            assert set(self.world.tracks) == {"stable"}, told


TestEngine = Engine.TestCase
EXAMPLES = settings.get_profile(settings.get_current_profile_name()).max_examples * 4 // 5
"""80, and 800 with `make long`."""
TestEngine.settings = settings(max_examples=EXAMPLES, stateful_step_count=25, print_blob=True)
TestEngine.pytestmark = [pytest.mark.begins_first]
