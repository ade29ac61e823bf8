"""What a release came to: the truth, in one sentence (R9, R13)."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import Observed, TrackStatus
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.traffic import share_with
from release_pipelines.features.outcome.decision import Facts, outcome_of, speaks_against, undone

DONE = {"complete": "success", "approval": "success", "deploy": "success", "plan": "skipped"}


def facts(states: dict[str, str | None] | None = None, **given: Any) -> Facts:
    return Facts(**{"version": "1.1.0", "production": "production", "states": {**DONE, **(states or {})}, **given})


def test_a_version_that_held_is_released() -> None:  # R9
    assert outcome_of(facts())[0] == "released"


def test_marking_the_end_as_success_by_hand_releases_nothing() -> None:  # R1, R9
    outcome, sentence = outcome_of(facts(promoted=False, returned_to="1.0.0"))
    assert outcome == "aborted"
    assert sentence == (
        "Aborted 1.1.0: it was marked as complete by hand, and was never promoted; traffic is back on 1.0.0."
    )


def test_a_deploy_that_failed_before_it_changed_anything_left_production_alone() -> None:  # R9
    states = {"complete": "skipped", "deploy": "failed"}
    outcome, sentence = outcome_of(facts(states, deployed=False, failed_task="deploy", reason="The lease is missing."))
    assert (outcome, sentence) == ("failed", "Failed 1.1.0 before production was changed: The lease is missing.")


def test_a_rollback_that_failed_says_why_it_failed_and_why_it_was_to_be() -> None:  # R13
    states: dict[str, str | None] = {"complete": "skipped", "plan": "failed"}
    outcome, sentence = outcome_of(
        facts(states, failed_task="bake", reason="error rate 5 %", rollback_reason="Nothing good is known.")
    )
    assert outcome == "rollback_failed"
    assert sentence == ("Rollback of 1.1.0 failed: Nothing good is known. It was to go back because: error rate 5 %.")


ALICE = {"by": "alice", "reason": "wrong price list."}
BACK: dict[str, str | None] = {"complete": "skipped", "plan": "success", "verify": "success"}


def test_an_abort_names_who_and_why_and_where_the_traffic_is() -> None:  # R13
    found = outcome_of(facts(BACK, aborted=ALICE, weight=10, returned_to="1.0.0", failed_task="production.step_10"))
    assert found == ("aborted", "Aborted 1.1.0 at 10 %: alice: wrong price list; traffic is back on 1.0.0.")


def test_an_abort_before_production_was_changed_leaves_it_alone() -> None:
    found = outcome_of(facts({"complete": "skipped", "deploy": "skipped"}, aborted=ALICE, approval="rejected"))
    assert found == ("aborted", "Aborted 1.1.0 before production was changed: alice: wrong price list.")


def test_an_abort_whose_rollback_fails_is_a_failed_rollback() -> None:  # R8
    states: dict[str, str | None] = {"complete": "skipped", "plan": "success", "verify": "failed"}
    outcome, sentence = outcome_of(facts(states, aborted=ALICE, rollback_reason="1.0.0 did not become ready."))
    assert outcome == "rollback_failed"
    assert sentence == (
        "Rollback of 1.1.0 failed: 1.0.0 did not become ready. It was to go back because: alice: wrong price list."
    )


def test_a_release_that_a_rollback_took_over_says_who_did() -> None:  # R2
    states: dict[str, str | None] = {"complete": "skipped", "plan": "skipped"}
    found = outcome_of(facts(states, taken_over="bob rolled shop back: prices are wrong", weight=50))
    assert found == ("superseded", "Superseded 1.1.0 at 50 %: bob rolled shop back: prices are wrong.")


def test_a_release_that_a_person_hurried_says_so() -> None:  # R13
    outcome, sentence = outcome_of(facts(hurried=["bob skipped the holds that were left: hotfix"]))
    assert outcome == "released"
    assert sentence == (
        "Released 1.1.0: it serves all traffic in production and held. bob skipped the holds that were left: hotfix."
    )


def test_a_release_of_which_nothing_was_measured_says_so() -> None:  # R13
    hurried = ["bob skipped the holds that were left: hotfix"]
    _, sentence = outcome_of(facts(hurried=hurried, unmeasured=["step_10", "bake"]))
    assert sentence == (
        "Released 1.1.0: it serves all traffic in production; not measured: step_10, bake. "
        "bob skipped the holds that were left: hotfix."
    )


@pytest.mark.parametrize(
    ("given", "against"),
    [
        ({"judgement": "fail"}, True),
        ({"judgement": None, "reason": "1.1.0 did not become ready: exit code 3."}, True),
        ({"judgement": "error"}, False),
        ({"judgement": "inconclusive"}, False),
        ({"trouble": True}, False),
        ({"ended_outside": True}, False),
        ({"aborted": ALICE}, False),
        ({"taken_over": "release_rollback/x#0"}, None),
        ({"deployed": False}, None),
    ],
)
def test_only_what_a_version_did_itself_speaks_against_it(given: dict[str, Any], against: bool | None) -> None:  # R8
    found = facts(BACK, **{"failed_task": "production.step_10", "reason": "it went wrong", **given})
    assert speaks_against(found, outcome_of(found)[0]) is against


def test_a_version_that_was_released_has_nothing_that_speaks_against_it() -> None:
    assert speaks_against(facts(), "released") is None


def promoted(stable: TrackStatus, weight: int = 0, holder: str | None = None, release: str = "r") -> Observed:
    traffic = share_with("canary", weight)
    route = Route(traffic=traffic, note=RouteNote(release=release, done=True), changed_by="helm" if weight else None)
    lease = Lease(holder=holder, fence=2, expires_at=9e9) if holder else None
    return Observed(tracks={"stable": stable}, route=route, lease=lease)


NEW_ON_STABLE = TrackStatus(track="stable", digest="sha256:new", version="1.1.0", wanted=2, ready=2, updated=2)
OLD_ON_STABLE = NEW_ON_STABLE.model_copy(update={"digest": "sha256:old", "version": "1.0.0", "changed_by": "argocd"})


def test_what_serves_instead_of_a_promoted_version_is_seen_at_the_end() -> None:  # R9
    assert undone(promoted(NEW_ON_STABLE), "r", "sha256:new") is None
    assert undone(promoted(OLD_ON_STABLE), "r", "sha256:new") == "argocd put 1.0.0 on stable, which serves now"
    assert undone(promoted(NEW_ON_STABLE, weight=40), "r", "sha256:new") == "helm left stable with 60 % of the traffic"


def test_what_a_later_release_has_put_there_is_its_own() -> None:
    assert undone(promoted(OLD_ON_STABLE, holder="another"), "r", "sha256:new") is None
    assert undone(promoted(OLD_ON_STABLE, release="another"), "r", "sha256:new") is None


def test_a_release_whose_version_was_replaced_after_its_promotion_is_not_called_released() -> None:  # R9
    done = facts(
        states={"complete": "success", "deploy": "success"}, undone="argocd put 1.0.0 on stable, which serves now"
    )
    assert outcome_of(done) == (
        "superseded",
        "Superseded 1.1.0: it was promoted, and then argocd put 1.0.0 on stable, which serves now.",
    )


def test_a_release_whose_end_nobody_could_look_at_says_so() -> None:
    done = facts(states={"complete": "success", "deploy": "success"}, not_checked="Kubernetes does not answer.")
    assert outcome_of(done) == (
        "released",
        "Released 1.1.0: it serves all traffic in production and held. What serves was not checked at the end: "
        "Kubernetes does not answer.",
    )
