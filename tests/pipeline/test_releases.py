"""Whole releases: what runs in the end, what the run says, and that both agree (R9)."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.definitions.dag import _run_task

from release_pipelines.adapters.registries._manifests import INDEX, MANIFEST, digest_of, written
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.features.outcome.operators import RecordOutcomeOperator
from release_pipelines.spec.frozen import frozen
from tests.fakes import GOOD, NEW
from tests.pipeline.conftest import TAGS, Releases, moves


def test_a_good_version_is_released(releases: Releases) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("success", "released"), done.sentence
    assert releases.production.tracks["stable"].digest == NEW
    assert set(releases.production.tracks) == {"stable"}
    assert moves(releases.production)[-1] == 0
    assert releases.production.lease is None
    assert releases.staging.lease is None
    assert moves(releases.production) == [10, 50, 100, 50, 0]
    detail = HistoryHook().history().releases("shop")[0]
    assert detail.outcome == "released"
    assert detail.sentence == "Released 1.1.0: it serves all traffic in production and held."
    assert detail.requester == "dag_test"


def told() -> list[dict[str, Any]]:
    """What the events of the app's asset say, oldest first."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    uri = AssetModel.uri == "release://production/shop"
    query = (
        select(AssetEvent.extra)
        .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        .where(uri)
        .order_by(AssetEvent.id)
    )
    with create_session() as session:
        return [dict(it) for it in session.scalars(query)]


def test_only_a_release_that_held_is_an_event_of_the_apps_asset(releases: Releases) -> None:
    before = len(told())
    assert releases.release("1.0.0").outcome == "released"
    assert releases.release("1.0.0").outcome == "no_op"
    releases.outside.bad = 0.05
    assert releases.release("1.1.0").outcome == "rolled_back"
    [event] = told()[before:]
    assert event.pop("release").startswith("release_shop/")
    assert event == {
        "app": "shop",
        "environment": "production",
        "version": "1.0.0",
        "digest": GOOD,
        "outcome": "released",
    }


def test_an_event_is_neither_lost_nor_doubled_when_its_task_dies_or_runs_again(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow takes the event with the task's success: a try that ends before gives none, and one after finds it there."""
    before, work, tries = len(told()), RecordOutcomeOperator.work, []

    def dies_after_the_first(self: RecordOutcomeOperator, context: Any) -> Any:
        result = work(self, context)
        tries.append(len(told()))
        if len(tries) == 1:
            raise ConnectionError("The worker is gone.")
        return result

    monkeypatch.setattr(RecordOutcomeOperator, "work", dies_after_the_first)
    done = releases.release("1.0.0")
    assert (done.outcome, tries) == ("released", [before, before])
    [event] = told()[before:]
    assert event["version"] == "1.0.0"
    _run_task(ti=done.run.get_task_instance("outcome"), task=releases.dag.get_task("outcome"))
    assert len(tries) == 3
    assert told()[before:] == [event]


def test_a_bad_version_is_rolled_back_and_the_run_says_why(releases: Releases) -> None:  # R4, R8, R13
    releases.runs("1.0.0")
    releases.outside.bad = 0.05
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "rolled_back"), done.sentence
    assert done.sentence.startswith("Rolled back 1.1.0 at 10 %: error rate 5 % over 1,000 requests, limit 1 %")
    assert done.sentence.endswith("traffic is back on 1.0.0.")
    assert releases.production.tracks["stable"].digest == GOOD
    assert set(releases.production.tracks) == {"stable"}
    assert moves(releases.production) == [10, 0]
    assert releases.production.lease is None
    assert done.states["production.step_50"] == "upstream_failed"
    assert done.states["rollback.verify"] == "success"


def test_the_first_release_is_deployed_checked_and_given_all_traffic(releases: Releases) -> None:  # R17
    done = releases.release("1.0.0")
    assert (done.state, done.outcome) == ("success", "released"), done.sentence
    assert releases.production.tracks["stable"].digest == GOOD
    assert moves(releases.production) == [0]
    assert releases.production.note.last_good
    assert releases.production.note.done
    again = releases.release("1.0.0")  # what serves already
    assert (again.state, again.outcome) == ("success", "no_op"), (again.sentence, again.states)
    assert again.states["production.canary_deploy"] == "skipped"


def test_a_version_whose_images_serve_already_changes_nothing_though_its_digest_is_new(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:  # R17
    image = {"mediaType": MANIFEST, "digest": GOOD, "size": 5, "platform": {"os": "linux", "architecture": "amd64"}}
    made = []
    for number in (1, 2):
        unknown = {"os": "unknown", "architecture": "unknown"}
        beside = {"mediaType": MANIFEST, "digest": f"sha256:{number:064}", "size": 5, "platform": unknown}
        made.append(written({"schemaVersion": 2, "mediaType": INDEX, "manifests": [image, beside]}))
    releases.outside.manifests = {digest_of(it): it for it in made}
    for version, content in zip(("1.0.0", "1.0.1"), made, strict=True):
        monkeypatch.setitem(TAGS, version, digest_of(content))
    releases.runs("1.0.0")
    done = releases.release("1.0.1")
    assert (done.state, done.outcome) == ("success", "no_op"), (done.sentence, done.states)
    assert done.sentence == (
        f"1.0.1 ({digest_of(made[1])}) has the same image for each platform as 1.0.0 ({digest_of(made[0])}), which serves all "
        "traffic already and stays; nothing was changed."
    )
    assert done.states["staging.take_lease"] == done.states["approval"] == "skipped"
    assert not releases.staging.writes
    assert releases.production.tracks["stable"].digest == digest_of(made[0])
    pushed_anew = releases.release("1.0.0", digest=digest_of(made[1]))  # no other image than the recorded one (R1)
    assert (pushed_anew.state, pushed_anew.outcome) == ("success", "no_op"), pushed_anew.sentence
    other = releases.release("1.0.0", digest=NEW)
    assert other.outcome == "failed"
    assert f"1.0.0 is known as {digest_of(made[0])}, and {NEW} is asked for" in other.sentence


def test_a_rejected_version_leaves_production_alone_and_staging_goes_back(releases: Releases) -> None:  # R10
    releases.runs("1.0.0")
    releases.answer = "Reject"
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "rejected"), done.sentence
    assert "bob rejected it" in done.sentence
    assert not releases.production.writes
    assert releases.staging.tracks["stable"].digest == GOOD
    assert releases.staging.lease is None


def test_an_approval_by_the_requester_is_none(releases: Releases) -> None:  # R10
    releases.runs("1.0.0")
    releases.by = "dag_test"
    done = releases.release("1.1.0")
    assert done.outcome == "rejected", done.sentence
    assert "dag_test asked for the release and cannot approve it" in done.sentence
    assert not releases.production.writes


def test_marking_the_approval_as_success_by_hand_is_no_approval(releases: Releases) -> None:  # R1
    releases.runs("1.0.0")
    releases.answer = None
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "failed"), done.sentence
    assert "Nobody has approved 1.1.0" in done.sentence
    assert not releases.production.writes


def test_a_stable_that_cannot_take_the_new_version_leaves_the_traffic_on_the_canary(releases: Releases) -> None:  # R18
    releases.runs("1.0.0")
    production = releases.production

    def no_room(call: str) -> None:
        if production.route and production.route.traffic.weight("canary") == 100:
            production.broken[NEW] = "no node has room for it"

    production.after = no_room
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "rollback_failed"), done.sentence
    assert "no node has room for it" in done.sentence
    assert production.note.traffic
    assert production.note.traffic.weight("canary") == 100
    assert production.tracks["canary"].ready
    assert production.lease is None


def test_a_release_to_staging_stops_there(releases: Releases) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.1.0", stop_at="staging")
    assert (done.state, done.outcome) == ("success", "no_op"), done.sentence
    assert releases.staging.tracks["stable"].digest == NEW
    assert not releases.production.writes


@pytest.mark.parametrize(
    ("version", "conf", "why"),
    [
        ("1.1", {}, "no semantic version"),
        ("", {}, "version is missing"),
        ("1.1.0", {"verison": "1.1.0"}, "Unknown parameter verison"),
    ],
)
def test_what_cannot_be_released_fails_before_anything_is_changed(
    releases: Releases, version: str, conf: dict[str, str], why: str
) -> None:
    releases.runs("1.0.0")
    done = releases.release(version, **conf)
    assert (done.state, done.outcome) == ("failed", "failed")
    assert why in done.sentence
    assert not releases.production.writes
    assert not releases.staging.writes


def test_a_check_that_fails_ends_the_release_and_lets_a_corrected_file_count(releases: Releases) -> None:  # R6, R9
    releases.runs("1.0.0")
    releases.production.breaks("stable", "it crashes")
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "failed"), done.sentence
    assert frozen("shop") is None
    assert HistoryHook().history().releases("shop")[0].outcome == "failed"


three_environments = pytest.mark.parametrize(
    "releases", ["environments: [dev, staging, production]\n"], indirect=True, ids=[""]
)


@three_environments
def test_a_release_that_stops_at_the_second_of_three_environments_stays_in_both(releases: Releases) -> None:  # R9
    releases.runs("1.0.0")
    done = releases.release("1.1.0", stop_at="staging")
    assert (done.state, done.outcome) == ("success", "no_op"), done.sentence
    assert releases.dev.tracks["stable"].digest == releases.staging.tracks["stable"].digest == NEW


@three_environments
def test_a_rejected_version_goes_from_all_of_three_environments(releases: Releases) -> None:  # R10
    releases.runs("1.0.0")
    releases.answer = "Reject"
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "rejected"), done.sentence
    assert releases.dev.tracks["stable"].digest == releases.staging.tracks["stable"].digest == GOOD
    assert releases.dev.lease is None
    assert releases.staging.lease is None


@three_environments
def test_a_good_version_is_released_through_three_environments(releases: Releases) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("success", "released"), done.sentence
    assert releases.dev.tracks["stable"].digest == releases.staging.tracks["stable"].digest == NEW


@pytest.mark.parametrize("releases", ["environments: [production]\n"], indirect=True, ids=[""])
@pytest.mark.parametrize(("answer", "outcome"), [("Approve", "released"), ("Reject", "rejected")])
def test_an_app_with_production_alone(releases: Releases, answer: str, outcome: str) -> None:
    releases.runs("1.0.0")
    releases.answer = answer
    assert releases.release("1.1.0").outcome == outcome


def test_a_release_asks_tells_and_keeps_what_checks_found(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:  # R10
    bodies: list[str] = []
    ask = HITLOperator.execute

    def asked(operator: Any, context: Any) -> Any:
        bodies.append(operator.body)
        return ask(operator, context)

    monkeypatch.setattr(HITLOperator, "execute", asked)
    releases.runs("1.0.0")
    releases.answer = "Reject"
    assert releases.release("1.1.0", requested_by="alice").outcome == "rejected"
    assert releases.release("1.1.0", requested_by="alice").outcome == "rejected"
    assert all("**alice (started by dag_test)** asks to release" in it for it in bodies)
    assert "**This digest was released before:**" not in bodies[0]
    assert "1.1.0: **rejected**. Rejected 1.1.0: bob rejected it." in bodies[1]
    history = HistoryHook().history()
    detail = history.releases("shop")[0]
    assert (detail.requester, detail.started_by, detail.approver) == ("alice", "dag_test", "bob")
    assert history.evidence_of("shop", NEW, besides="another")["Smoke test in staging"].result == "passed"
