"""Whether and how a release goes back, decided from what really runs (R8)."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from release_pipelines.airflow import rollouts, smoke_test
from release_pipelines.airflow.hooks import platform as hook
from release_pipelines.core.errors import Forbidden, PlatformError
from release_pipelines.core.model.artifact import UNKNOWN_VERSION, Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import Answer
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Match, share_with
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.features.rollback.operators import planned as rollback
from release_pipelines.features.rollback.operators.planned import (
    Planned,
    RollbackPlanOperator,
    RollbackPrepareOperator,
    RollbackSwitchOperator,
    RollbackVerifyOperator,
)
from release_pipelines.features.rollback.plan import RollbackPlan
from tests.fakes import GOOD, NEW, FakePlatform, World, artifact, target
from tests.features.helpers import Ti, on_stable

RELEASE = "release_shop/run#0"
VERDICT = Verdict(judgement="fail", decided_at=1.0, step="step_10", weight=10, sentence="error rate 5 %, limit 1 %")


class Told:
    """A history that knows 1.0.0 as good, and keeps what it is told."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def history(self) -> Told:
        return self

    def last_good(self, *_: Any, **__: Any) -> Artifact:
        return artifact("1.0.0", GOOD)

    def record_event(self, release: str, kind: str, *_: Any) -> None:
        self.kept.append(kind)

    def record_verdict(self, release: str, environment: str, verdict: Verdict, samples: list[Any]) -> None:
        self.kept.append(verdict.sentence)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    it = Told()
    monkeypatch.setattr(rollback, "HistoryHook", lambda: it)
    return it


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    it = World()
    monkeypatch.setattr(hook, "_build", lambda *_: it.platform())
    for name in ("PLATFORM", "REGISTRY"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "generic"}))
    return it


def plan(ti: Ti | None = None, good: Artifact | None = None, **found: str) -> Ti:
    done = Deployment(
        environment="production",
        platform="container_host",
        track="canary",
        digest=NEW,
        version="1.1.0",
        good=good,
        **found,
    )
    ti = ti or Ti()
    context: Any = {"ti": ti}
    RollbackPlanOperator(task_id="plan", target=target(), deployment=to_json(done), release=RELEASE).execute(context)
    return ti


def test_clearing_the_plan_of_a_release_that_was_promoted_changes_nothing(world: World, told: Told) -> None:  # R1
    world.runs("stable", artifact())
    note = RouteNote(release=RELEASE, step="promoted", traffic=ALL_TO_STABLE, done=True, last_good=artifact())
    world.route = Route(traffic=ALL_TO_STABLE, fence=1, note=note)
    with pytest.raises(AirflowSkipException, match="release an older version"):
        plan()
    assert not world.writes
    assert not told.kept  # or the history would take the version for bad


def test_a_verdict_after_which_a_person_ended_the_step_is_kept(world: World, told: Told) -> None:  # R13, R18
    world.runs("stable", artifact("1.0.0", GOOD))
    world.runs("canary", artifact(), 1)
    world.fence, world.lease = 1, Lease(holder=RELEASE, fence=1, expires_at=time.time() + 60)
    note = RouteNote(release=RELEASE, step="step_10", traffic=ALL_TO_STABLE, verdict=VERDICT)
    world.route = Route(traffic=ALL_TO_STABLE, fence=1, note=note)
    ti = plan()
    assert ti.pushed["verdict"]["sentence"] == VERDICT.sentence
    assert told.kept == [VERDICT.sentence, "back_up", "rollback"]


def bad_canary(world: World) -> None:
    """The canary of ``RELEASE`` has 10 % of the traffic."""
    world.runs("stable", artifact("1.0.0", GOOD))
    world.runs("canary", artifact(), 1)
    note = RouteNote(release=RELEASE, step="step_10", traffic=share_with("canary", 10))
    world.route = Route(traffic=share_with("canary", 10), fence=1, note=note)


def test_a_rollback_by_a_person_is_not_fought_over(world: World, told: Told) -> None:  # R2, R8
    bad_canary(world)
    world.fence, world.lease = 2, Lease(holder="release_rollback/manual#0", fence=2, expires_at=time.time() + 60)
    ti = Ti()
    with pytest.raises(AirflowSkipException):
        plan(ti)
    assert ti.pushed["taken_over"] == "release_rollback/manual#0"
    assert not world.writes


def test_a_rollback_by_a_person_that_has_ended_is_not_repeated(world: World, told: Told) -> None:  # R2, R8
    world.runs("stable", artifact("1.0.0", GOOD))
    note = RouteNote(release="release_rollback/manual#0", step="rollback", traffic=ALL_TO_STABLE)
    world.route = Route(traffic=ALL_TO_STABLE, fence=2, note=note)
    ti = Ti()
    with pytest.raises(AirflowSkipException):
        plan(ti)
    assert ti.pushed["taken_over"] == "release_rollback/manual#0"


def test_a_rollback_takes_precedence_over_a_release(world: World, told: Told) -> None:  # R2
    bad_canary(world)
    world.fence, world.lease = 2, Lease(holder="release_shop/later#0", fence=2, expires_at=time.time() + 60)
    plan()
    assert world.lease.holder == RELEASE


def test_a_history_that_is_away_takes_no_way_back_away(
    world: World, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:  # R8
    from release_pipelines.adapters.history import HistoryUnavailable

    def away(*_: Any, **__: Any) -> Any:
        raise HistoryUnavailable("The release history does not answer.")

    monkeypatch.setattr(told, "history", away)
    world.runs("stable", artifact())
    world.fence, world.lease = 1, Lease(holder=RELEASE, fence=1, expires_at=time.time() + 60)
    ti = plan(good=artifact("1.0.0", GOOD))
    assert (ti.pushed["plan"]["kind"], ti.pushed["plan"]["version"]) == ("redeploy", "1.0.0")


def test_a_good_version_that_runs_no_more_comes_back_with_its_configuration(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:  # R8
    world.runs("stable", artifact())
    world.fence, world.lease = 1, Lease(holder=RELEASE, fence=1, expires_at=time.time() + 60)
    seen: list[bool] = []
    deploys = FakePlatform.deploy

    async def deploy(self: FakePlatform, *given: Any, restore: bool = False, **more: Any) -> bool:
        seen.append(restore)
        return await deploys(self, *given, restore=restore, **more)

    monkeypatch.setattr(FakePlatform, "deploy", deploy)
    monkeypatch.setattr(rollouts, "LOOK_SECONDS", 0.01)
    planned = Planned(
        target=target(),
        release=RELEASE,
        plan=RollbackPlan(
            kind="redeploy", digest=GOOD, version="1.0.0", artifact=artifact("1.0.0", GOOD), sentence="it comes back"
        ),
        lease=world.lease,
        paths=["/"],
        retire_after=0,
    )
    context: Any = {"ti": Ti()}
    RollbackPrepareOperator(task_id="prepare", plan=to_json(planned)).execute(context)
    assert seen == [True]
    assert world.tracks["stable"].digest == GOOD
    RollbackSwitchOperator(task_id="switch", plan=to_json(planned)).execute(context)
    assert on_stable(world)
    assert world.note.last_good == artifact("1.0.0", GOOD)


@pytest.mark.parametrize(("version", "asked"), [("1.0.0", "1.0.0"), (UNKNOWN_VERSION, None)])
def test_the_running_app_is_asked_for_the_version_as_far_as_that_is_known(
    world: World, told: Told, monkeypatch: pytest.MonkeyPatch, version: str, asked: str | None
) -> None:  # R8
    world.runs("stable", artifact(version, GOOD))
    world.route = Route(traffic=ALL_TO_STABLE)
    seen: list[str | None] = []
    monkeypatch.setattr(rollback, "smoke_test", lambda target, paths, version: seen.append(version))
    released = SimpleNamespace(versions_of=lambda *_: {"1.0.0"})
    monkeypatch.setattr(smoke_test, "HistoryHook", lambda: SimpleNamespace(history=lambda: released))
    planned = Planned(
        target=target(),
        release=RELEASE,
        plan=RollbackPlan(kind="redeploy", digest=GOOD, version=version, sentence="it comes back"),
        lease=Lease(holder=RELEASE, fence=1, expires_at=time.time() + 60),
        paths=["/"],
        retire_after=0,
    )
    context: Any = {"ti": Ti()}
    RollbackVerifyOperator(task_id="verify", plan=to_json(planned)).execute(context)
    assert seen == [asked]


@pytest.mark.parametrize(
    ("says", "released", "asked"),
    [
        (Answer(status=200, version="1.1.0"), {"1.0.0"}, "1.0.0"),  # by a replica that leaves
        (Answer(status=200, version="2024.3"), set(), None),  # adopted: its tag is all that is known
        (Answer(status=200, version=None), {"1.0.0"}, None),  # an app that says none
        (Answer(status=404, version=None), {"1.0.0"}, "1.0.0"),  # it answers under its host only
        (Forbidden("services/proxy may not be read."), {"1.0.0"}, "1.0.0"),
        (Forbidden("services/proxy may not be read."), set(), None),
        (PlatformError("no answer"), None, None),  # the history is away
    ],
)
def test_a_rollback_expects_the_version_that_its_release_has_seen(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    says: Answer | PlatformError,
    released: set[str] | None,
    asked: str | None,
) -> None:  # R8
    class History:
        def versions_of(self, app: str, digest: str) -> set[str]:
            if released is None:
                raise OSError("The history is away.")
            assert (app, digest) == ("shop", GOOD)
            return released

    async def ask(*_: Any) -> Answer:
        if isinstance(says, Answer):
            return says
        raise says

    monkeypatch.setattr(FakePlatform, "ask", ask)
    monkeypatch.setattr(smoke_test.HistoryHook, "history", lambda _: History())
    assert smoke_test.said_version(target(), ["/"], "1.0.0", GOOD) == asked


def test_testers_go_back_too(world: World, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:  # R8
    world.runs("stable", artifact("1.0.0", GOOD))
    world.runs("canary", artifact(), 1)
    testers = share_with("canary", 0, testers=Match(kind="header", name="x-tester", value="yes"))
    note = RouteNote(release=RELEASE, step="testers_1", traffic=testers)
    world.route = Route(traffic=testers, fence=1, note=note)
    world.fence, world.lease = 1, Lease(holder=RELEASE, fence=1, expires_at=time.time() + 60)
    planned = Planned(
        target=target(),
        release=RELEASE,
        plan=RollbackPlan(kind="return_traffic", digest=GOOD, version="1.0.0", sentence="it goes back"),
        lease=world.lease,
        paths=["/"],
        retire_after=0,
    )
    context: Any = {"ti": Ti()}
    RollbackSwitchOperator(task_id="switch", plan=to_json(planned)).execute(context)
    assert world.route.traffic.same(ALL_TO_STABLE)


def test_a_digest_that_only_the_registry_knew_is_still_the_way_back(world: World, told: Told) -> None:  # R8
    world.runs("stable", artifact("latest", GOOD))
    world.tracks["stable"] = world.tracks["stable"].model_copy(
        update={"digest": None, "image": "registry.example/shop"}
    )
    world.runs("canary", artifact())
    world.route = Route(traffic=share_with("canary", 10), note=RouteNote(release=RELEASE))
    world.lease = Lease(holder=RELEASE, fence=0, expires_at=time.time() + 60)
    found = {"previous_digest": GOOD, "previous_version": "latest", "previous_image": "registry.example/shop"}
    decided = plan(Ti(), **found).pushed["plan"]
    assert (decided["kind"], decided["digest"]) == ("return_traffic", GOOD)


def test_what_ran_is_the_way_back_by_its_own_repository(world: World, told: Told) -> None:  # R8
    world.runs("stable", artifact())
    world.route = Route(traffic=ALL_TO_STABLE, note=RouteNote(release=RELEASE, last_good=artifact("1.0.0", GOOD)))
    world.lease = Lease(holder=RELEASE, fence=0, expires_at=time.time() + 60)
    ran = artifact("1.0.0", GOOD).model_copy(update={"image": "old.example/shop"})
    assert plan(Ti(), ran).pushed["plan"]["artifact"]["image"] == "old.example/shop"
