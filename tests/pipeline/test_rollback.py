"""A person rolls back, whether a release runs or not (R8)."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.lease import Lease
from release_pipelines.features.rollback.operators.manual import ManualRollbackPlanOperator
from release_pipelines.features.rollback.operators.planned import RollbackSwitchOperator
from tests.fakes import GOOD, NEW, World
from tests.features.helpers import Ti
from tests.pipeline.conftest import CANARY, Releases, moves


def newest(releases: Releases, outcome: str) -> None:
    """What the history says of the last one."""
    assert HistoryHook().history().releases("shop")[0].outcome == outcome


def test_the_last_good_version_comes_back(releases: Releases) -> None:
    releases.runs("1.0.0")
    assert releases.release("1.1.0").outcome == "released"
    done = releases.roll_back(app="shop", reason="prices are wrong")
    assert (done.state, done.outcome) == ("success", "rolled_back"), done.sentence
    assert done.sentence == "Rolled back 1.1.0: dag_test: prices are wrong, traffic is back on 1.0.0."
    assert releases.production.tracks["stable"].digest == GOOD
    assert releases.production.lease is None
    history = HistoryHook().history()
    row = history.releases("shop")[0]
    assert (row.version, row.digest, row.outcome, row.requester) == ("1.1.0", NEW, "rolled_back", "dag_test")
    good = history.last_good("shop", "production")
    assert good is not None
    assert good.version == "1.0.0"


def test_where_nothing_good_is_known_nothing_is_changed(releases: Releases) -> None:
    assert releases.release("1.0.0").outcome == "released"
    before = list(releases.production.writes)
    done = releases.roll_back(app="shop", reason="prices are wrong")
    assert (done.state, done.outcome) == ("failed", "failed")
    assert "othing good is known" in done.sentence
    assert releases.production.writes == before
    good = HistoryHook().history().last_good("shop", "production")
    assert good is not None
    assert good.version == "1.0.0"


def test_a_version_that_serves_already_is_no_rollback(releases: Releases) -> None:
    releases.runs("1.0.0")
    releases.release("1.1.0")
    done = releases.roll_back(app="shop", version="1.1.0", reason="to be sure")
    assert (done.state, done.outcome) == ("success", "no_op"), done.sentence
    newest(releases, "released")


@pytest.mark.parametrize(
    ("conf", "why"),
    [
        ({"app": "shopp", "reason": "x"}, "There is no app `shopp`: one of shop is expected."),
        ({"app": "shop"}, "A rollback needs a reason: say why in a few words."),
        (
            {"app": "shop", "reason": "x", "environment": "prod"},
            "shop does not go to `prod`: one of staging, production is expected.",
        ),
        ({"app": "shop", "reason": "x", "version": "9.9.9"}, "9.9.9"),
    ],
)
def test_what_cannot_be_rolled_back_is_refused_in_a_sentence(
    releases: Releases, conf: dict[str, str], why: str
) -> None:  # R12
    releases.runs("1.0.0")
    done = releases.roll_back(**conf)
    assert (done.state, done.outcome) == ("failed", "failed")
    assert why in done.sentence
    assert not releases.production.writes


def test_two_people_do_not_roll_back_at_once(releases: Releases) -> None:  # R2
    releases.runs("1.0.0")
    releases.release("1.1.0")
    releases.production.fence += 1
    releases.production.lease = Lease(
        holder="release_rollback/other#0", fence=releases.production.fence, expires_at=time.time() + 60
    )
    done = releases.roll_back(app="shop", reason="prices are wrong")
    assert done.outcome == "failed"
    assert "shop in production is being rolled back already by release_rollback/other#0." in done.sentence
    assert releases.production.tracks["stable"].digest == NEW


def test_a_rollback_that_fails_half_way_leaves_the_traffic_and_says_so(releases: Releases) -> None:  # R8
    releases.runs("1.0.0")
    releases.release("1.1.0")
    releases.production.broken[GOOD] = "its configuration is gone"
    done = releases.roll_back(app="shop", reason="prices are wrong")
    assert (done.state, done.outcome) == ("failed", "rollback_failed")
    assert done.sentence == "Rollback of 1.1.0 failed: 1.0.0 did not become ready: its configuration is gone."
    assert releases.production.lease is None


def beside(releases: Releases) -> None:
    """Roll back as another task process would, while a release runs in this one."""
    ti = Ti("plan")
    run = SimpleNamespace(dag_id="release_rollback", run_id="manual", clear_number=0, triggering_user_name="alice")
    context: Any = {"ti": ti, "dag_run": run}
    plan = ManualRollbackPlanOperator(
        task_id="plan", apps=releases.apps, config=releases.config, app="shop", reason="prices are wrong"
    )
    planned = plan.execute(context)
    RollbackSwitchOperator(task_id="switch", plan=planned).execute(context)
    HistoryHook().history().finish(planned["release"], "rolled_back", "Rolled back 1.1.0.")


@pytest.mark.parametrize("releases", [CANARY.replace("200ms", "30s")], indirect=True, ids=["canary"])
def test_a_release_that_a_person_rolls_back_ends_and_says_who_took_over(releases: Releases) -> None:  # R2
    releases.runs("1.0.0")

    def shared(world: World) -> bool:
        return world.note.step == "step_10"

    with ThreadPoolExecutor(1) as other:  # another process would not have this one's event loop wait for it
        rolled_back: list[Future[None]] = []
        releases.when(shared, lambda: rolled_back.append(other.submit(beside, releases)))
        done = releases.release("1.1.0")
    rolled_back[0].result()
    assert (done.state, done.outcome) == ("failed", "superseded"), done.sentence
    assert done.sentence == "Superseded 1.1.0: alice rolled shop back: prices are wrong."
    assert moves(releases.production) == [10, 0]
    assert releases.production.tracks["stable"].digest == GOOD
    lease = releases.production.lease
    assert lease is not None
    assert lease.holder == "release_rollback/manual#0"  # the rollback is still in charge
