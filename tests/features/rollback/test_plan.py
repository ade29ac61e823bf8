"""The way back, from what really runs (R8)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.observation import Observed, TrackStatus
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Match, share_with
from release_pipelines.features.rollback.operators.manual import serves
from release_pipelines.features.rollback.plan import plan_rollback

GOOD, BAD, OLDER = ("sha256:" + letter * 64 for letter in "abc")


def artifact(digest, version):
    return Artifact(app="shop", version=version, image="registry.example/shop", digest=digest)


LAST_GOOD, BEFORE = artifact(GOOD, "1.0.0"), artifact(OLDER, "0.9.0")


def runs(track, digest, ready=2, **more):
    version = {GOOD: "1.0.0", BAD: "1.1.0", OLDER: "0.9.0"}.get(digest)
    return TrackStatus(
        track=track, digest=digest, wanted=2, ready=ready, **{"version": version, "updated": ready, **more}
    )


def observed(*tracks, weight=10, noted=None):
    traffic = share_with("canary", weight) if weight else ALL_TO_STABLE
    route = Route(traffic=traffic, note=RouteNote(last_good=noted))
    return Observed(tracks={it.track: it for it in tracks}, route=route)


def test_stable_that_still_runs_another_version_gets_the_traffic_back():
    plan = plan_rollback(observed(runs("stable", GOOD), runs("canary", BAD)), BAD, LAST_GOOD)
    assert (plan.kind, plan.digest, plan.version) == ("return_traffic", GOOD, "1.0.0")
    assert plan.sentence == "all traffic back to 1.0.0, which still runs on stable"


def test_what_runs_is_trusted_more_than_what_is_recorded():
    plan = plan_rollback(observed(runs("stable", OLDER), runs("canary", BAD)), BAD, LAST_GOOD)
    assert (plan.kind, plan.digest) == ("return_traffic", OLDER)


def test_stable_that_was_changed_gets_the_last_good_version_again():
    plan = plan_rollback(observed(runs("stable", BAD), weight=0), BAD, LAST_GOOD)
    assert (plan.kind, plan.artifact) == ("redeploy", LAST_GOOD)
    assert plan.sentence == "stable gets 1.0.0 back by a rolling update"


def test_what_is_noted_on_the_workload_survives_a_lost_history():
    plan = plan_rollback(observed(runs("stable", BAD), weight=0, noted=LAST_GOOD), BAD, None)
    assert (plan.kind, plan.artifact) == ("redeploy", LAST_GOOD)


def test_a_note_of_the_bad_version_itself_is_no_way_back():
    plan = plan_rollback(observed(runs("stable", BAD), weight=0, noted=artifact(BAD, "1.1.0")), BAD, BEFORE)
    assert (plan.kind, plan.artifact) == ("redeploy", BEFORE)


def test_with_nothing_good_known_nothing_is_changed():
    plan = plan_rollback(observed(runs("stable", BAD), weight=0), BAD, None)
    assert (plan.kind, plan.digest, plan.artifact) == ("person", None, None)
    assert plan.sentence == "nothing good is known to go back to, so nothing was changed"


def test_stable_that_cannot_take_the_traffic_needs_a_person():
    stable = runs("stable", GOOD, ready=0, failure="crash loop: out of memory")
    plan = plan_rollback(observed(stable, runs("canary", BAD)), BAD, LAST_GOOD)
    assert plan.kind == "person"
    assert plan.sentence == "stable (1.0.0) has no ready replica to take the traffic: crash loop: out of memory"


def test_traffic_stays_on_a_healthy_canary_when_stable_did_not_become_ready_with_its_version():  # R18
    plan = plan_rollback(observed(runs("stable", BAD, ready=0), runs("canary", BAD), weight=100), BAD, LAST_GOOD)
    assert plan.kind == "person"
    assert "the traffic stays on the healthy canary" in plan.sentence


def test_a_person_may_go_back_although_the_canary_is_healthy():  # R8, R18
    now = observed(runs("stable", BAD, ready=0), runs("canary", BAD), weight=100)
    plan = plan_rollback(now, BAD, LAST_GOOD, decided=True)
    assert (plan.kind, plan.digest) == ("redeploy", LAST_GOOD.digest)


def test_a_way_back_that_was_interrupted_goes_on():  # R6
    stable = runs("stable", GOOD, updated=1)
    plan = plan_rollback(observed(stable, weight=0), BAD, LAST_GOOD)
    assert (plan.kind, plan.digest) == ("redeploy", GOOD)


DIGESTS = st.sampled_from([None, GOOD, BAD, OLDER])
ARTIFACTS = st.sampled_from([None, LAST_GOOD, BEFORE, artifact(BAD, "1.1.0")])


@given(DIGESTS, st.integers(0, 2), DIGESTS, st.integers(0, 2), st.sampled_from([0, 10, 100]), ARTIFACTS, ARTIFACTS)
def test_the_bad_version_is_never_the_way_back(stable, ready, canary, canary_ready, weight, noted, recorded):
    plan = plan_rollback(
        observed(
            runs("stable", stable, ready=ready), runs("canary", canary, ready=canary_ready), weight=weight, noted=noted
        ),
        BAD,
        recorded,
    )
    assert plan.digest != BAD
    assert (plan.digest is None) == (plan.kind == "person")
    assert plan.artifact is None or plan.artifact.digest == plan.digest
    if plan.kind == "return_traffic":
        assert ready
        assert stable == plan.digest


def test_without_a_route_there_is_still_a_way_back():
    plan = plan_rollback(Observed(tracks={"stable": runs("stable", BAD)}), BAD, LAST_GOOD)
    assert plan.kind == "redeploy"


def test_a_stable_that_is_on_its_way_back_goes_on_also_when_no_replica_is_ready_yet():
    for ready, updated in ((2, 1), (0, 0)):
        stable = runs("stable", GOOD, ready=ready, updated=updated, settled=False)
        assert plan_rollback(observed(stable, weight=0), BAD, LAST_GOOD).kind == "redeploy"
    broken = runs("stable", GOOD, ready=0, updated=0, settled=False, failure="no such image")
    assert plan_rollback(observed(broken, weight=0), BAD, LAST_GOOD).kind == "person"


def test_what_runs_on_stable_without_a_known_digest_is_never_replaced_by_what_is_recorded():
    tagged = runs("stable", None, version="latest", image="registry.example/shop")
    plan = plan_rollback(observed(tagged, runs("canary", BAD)), BAD, LAST_GOOD)
    assert plan.kind == "person"
    assert "registry.example/shop:latest, whose digest nobody knows" in plan.sentence
    plan = plan_rollback(observed(tagged, runs("canary", BAD)), BAD, LAST_GOOD, decided=True)
    assert (plan.kind, plan.sentence) == ("return_traffic", "all traffic back to latest, which still runs on stable")
    plan = plan_rollback(observed(tagged, weight=0), None, LAST_GOOD, decided=True)  # a person removes just that
    assert (plan.kind, plan.artifact) == ("redeploy", LAST_GOOD)


def test_the_way_back_is_to_the_repository_that_what_is_good_ran_from():
    ran = LAST_GOOD.model_copy(update={"image": "old.example/shop"})
    plan = plan_rollback(observed(runs("stable", BAD), weight=0, noted=LAST_GOOD), BAD, ran)
    assert (plan.kind, plan.artifact) == ("redeploy", ran)


def test_a_version_does_not_serve_already_while_testers_are_sent_elsewhere():  # R8
    stable = runs("stable", GOOD, settled=True)
    for traffic, already in (
        (ALL_TO_STABLE, True),
        (share_with("canary", 0, testers=Match(kind="header", name="x-tester", value="yes")), False),
        (share_with("canary", 0, mirror=100), False),
    ):
        seen = Observed(tracks={"stable": stable}, route=Route(traffic=traffic, note=RouteNote()))
        assert serves(seen, LAST_GOOD) is already
