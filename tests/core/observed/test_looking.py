"""From one look to the row: what runs, since when, and what differs from what was left there."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import Observed, TrackStatus
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.sighting import Served, Sighting
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Traffic, share_with
from release_pipelines.core.observed import Known, missed, seen
from release_pipelines.core.observed.looking import is_held
from tests.fakes import NEW, artifact, target

OLD = f"sha256:{'0' * 64}"
OTHER = f"sha256:{'f' * 64}"
NEVER = Known()


def track(digest: str | None = OLD, **more: Any) -> TrackStatus:
    known = {"version": "1.0.0", "wanted": 2, "ready": 2, "updated": 2, "settled": True, **more}
    return TrackStatus(track="stable", digest=digest, **known)


def observed(
    stable: TrackStatus | None = None,
    traffic: Traffic | None = ALL_TO_STABLE,
    noted: Traffic | None = ALL_TO_STABLE,
    good: bool = True,
    **more: Any,
) -> Observed:
    beside = {it.track: it for it in more.pop("beside", [])}
    note = RouteNote(traffic=noted, last_good=artifact("1.0.0", OLD) if good else None)
    changed_by = more.pop("changed_by", None)
    route = Route(traffic=traffic, note=note, changed_by=changed_by) if traffic else None
    return Observed(tracks={"stable": stable or track(), **beside}, route=route, **more)


def canary(digest: str = NEW) -> TrackStatus:
    return track(digest).model_copy(update={"track": "canary"})


def look(before: Sighting | None, what: Observed, at: float, known: Known = NEVER) -> Sighting:
    return seen(before, target(), what, known, at)


def served(digest: str, version: str, at: float, **more: Any) -> Served:
    return Served(release=f"release_shop/{version}#0", version=version, digest=digest, at=at, **more)


# --- since when -----------------------------------------------------------------------------------------------------


def test_the_first_look_knows_since_when_from_the_history_or_not_at_all() -> None:
    assert look(None, observed(), 100.0).since is None
    row = look(None, observed(), 100.0, Known([served(OLD, "1.0.0", 40.0)]))
    assert (row.since, row.release) == (40.0, "release_shop/1.0.0#0")


def test_what_the_history_last_had_there_says_nothing_about_another_digest() -> None:
    row = look(None, observed(), 100.0, Known([served(NEW, "1.1.0", 90.0), served(OLD, "1.0.0", 40.0)]))
    assert (row.digest, row.since, row.release) == (OLD, None, "release_shop/1.0.0#0")


def test_since_is_kept_over_looks_and_over_looks_that_failed() -> None:
    row = look(None, observed(), 100.0, Known([served(OLD, "1.0.0", 40.0)]))
    row = missed(row, target(), "away.", 160.0)
    row = missed(row, target(), "away.", 220.0)
    assert (row.failed_since, row.looked_at, row.observed_at) == (160.0, 220.0, 100.0)
    row = look(row, observed(), 280.0, Known([served(OLD, "1.0.0", 40.0)]))
    assert (row.since, row.failed_since, row.failure) == (40.0, None, None)


def test_a_history_that_is_told_after_the_look_corrects_it() -> None:
    row = look(look(None, observed(), 100.0), observed(track(NEW)), 160.0)
    assert (row.since, row.release) == (160.0, None)
    row = look(row, observed(track(NEW)), 220.0, Known([served(NEW, "1.1.0", 150.0)]))
    assert (row.since, row.release) == (150.0, "release_shop/1.1.0#0")


def test_a_digest_that_comes_back_serves_since_it_came_back() -> None:
    past = Known([served(NEW, "1.1.0", 150.0), served(OLD, "1.0.0", 40.0)])
    row = look(None, observed(), 100.0, Known([served(OLD, "1.0.0", 40.0)]))
    row = look(row, observed(track(NEW)), 160.0, past)
    row = look(row, observed(), 220.0, past)
    assert (row.since, row.version, row.release) == (220.0, "1.0.0", "release_shop/1.0.0#0")
    back = Known([served(OLD, "1.0.0", 170.0, returned=True), *past.served])
    row = look(look(None, observed(track(NEW)), 160.0, past), observed(), 220.0, back)
    assert (row.since, row.release) == (170.0, "release_shop/1.0.0#0")


def test_a_canary_with_all_traffic_is_what_runs_and_the_promotion_changes_nothing() -> None:
    row = look(None, observed(), 100.0)
    everything = share_with("canary", 100)
    row = look(row, observed(traffic=everything, noted=everything, beside=[canary()]), 160.0)
    assert (row.digest, row.since) == (NEW, 160.0)
    half = share_with("canary", 50)
    row = look(row, observed(track(NEW), traffic=half, noted=half, beside=[canary()]), 220.0)
    assert (row.digest, row.since) == (NEW, 160.0)


def test_while_replicas_are_replaced_what_ran_before_runs_still() -> None:
    row = look(None, observed(), 100.0)
    row = look(row, observed(track(NEW, updated=1, settled=False)), 160.0)
    assert row.digest == OLD
    assert look(row, observed(track(NEW)), 220.0).digest == NEW


# --- which version --------------------------------------------------------------------------------------------------


def test_where_no_release_has_ever_been_the_images_tag_is_believed() -> None:
    row = look(None, observed(good=False, noted=None), 100.0)
    assert (row.version, row.drift) == ("1.0.0", [])


def test_after_a_release_a_digest_that_nobody_knows_has_no_version() -> None:
    row = look(None, observed(track(OTHER)), 100.0, Known([served(OLD, "1.0.0", 40.0)], {OLD: "1.0.0"}))
    assert (row.digest, row.version) == (OTHER, None)


def test_a_known_digest_that_somebody_put_there_has_its_version_and_is_drift_all_the_same() -> None:
    row = look(None, observed(track(NEW, changed_by="kubectl")), 100.0, Known([], {NEW: "1.1.0"}))
    assert row.version == "1.1.0"
    assert [(it.kind, it.sentence) for it in row.drift] == [
        ("version", f"kubectl put {NEW} on stable; 1.0.0 is what the last good release left")
    ]


def test_replicas_that_name_no_digest_are_no_known_version() -> None:
    row = look(None, observed(track(None, image="registry.example/shop")), 100.0)
    assert (row.digest, row.version, row.track("stable").image) == (None, None, "registry.example/shop")
    assert [it.kind for it in row.drift] == ["version"]


# --- drift ----------------------------------------------------------------------------------------------------------


def drift(before: Sighting | None, what: Observed, at: float = 160.0, known: Known = NEVER) -> dict[str, float]:
    return {it.kind: it.since for it in look(before, what, at, known).drift}


@pytest.fixture
def before() -> Sighting:
    row = look(None, observed(), 100.0)
    assert row.drift == []
    return row


def test_nothing_on_stable_is_missing(before: Sighting) -> None:
    gone = observed(track(None, wanted=0, ready=0, updated=0))
    row = look(before, gone, 160.0)
    assert ([it.kind for it in row.drift], row.digest) == (["missing"], None)


def test_nothing_where_nothing_ever_was_is_no_drift() -> None:
    assert drift(None, Observed()) == {}


def test_a_weight_that_no_release_wrote(before: Sighting) -> None:
    by_hand = observed(traffic=share_with("canary", 30), beside=[canary()], changed_by="argocd")
    row = look(before, by_hand, 160.0)
    assert [(it.kind, it.sentence) for it in row.drift] == [
        ("traffic", "argocd changed the traffic: stable has 70 %, 100 % is what the last release left")
    ]


def test_a_weight_that_the_last_release_left_is_none(before: Sighting) -> None:
    left = share_with("canary", 100)
    assert drift(before, observed(traffic=left, noted=left, beside=[canary()])) == {}


def test_a_route_that_is_gone(before: Sighting) -> None:
    assert "traffic" in drift(before, observed(traffic=None, good=False))


def test_replicas_that_somebody_scaled_and_not_those_of_an_autoscaler(before: Sighting) -> None:
    grown = {"wanted": 5, "ready": 5, "updated": 5}
    assert drift(before, observed(track(**grown))) == {}
    row = look(before, observed(track(**grown, scaled_by="kubectl")), 160.0)
    assert [it.sentence for it in row.drift] == ["kubectl scaled stable to 5, 2 is what was left"]
    row = look(row, observed(track(**grown, scaled_by="kubectl")), 220.0)
    assert row.drift_since == 160.0
    assert drift(row, observed(track(scaled_by="kubectl"))) == {}


def test_drift_is_since_it_was_first_seen_and_ends_when_it_is_gone(before: Sighting) -> None:
    row = look(before, observed(track(OTHER)), 160.0)
    row = missed(row, target(), "away.", 220.0)
    row = look(row, observed(track(OTHER)), 280.0)
    assert row.drift_since == 160.0
    row = look(row, observed(), 340.0)
    assert (row.drift, row.drift_since) == ([], None)


def test_whoever_holds_the_lease_judges_that_itself(before: Sighting) -> None:
    lease = Lease(holder="release_shop/r#0", fence=1, expires_at=1000.0)
    assert drift(before, observed(track(NEW), lease=lease)) == {}
    expired = lease.model_copy(update={"expires_at": 150.0})
    assert drift(before, observed(track(NEW), lease=expired)) == {"version": 160.0}


def test_drift_of_before_a_release_stays_until_the_release_has_replaced_it(before: Sighting) -> None:
    row = look(before, observed(track(OTHER)), 160.0)
    lease = Lease(holder="release_shop/r#0", fence=1, expires_at=1000.0)
    row = look(row, observed(track(OTHER), lease=lease), 220.0)
    assert row.drift_since == 160.0
    assert drift(row, observed(track(NEW), lease=lease), 280.0) == {}


def test_in_an_environment_without_a_last_good_version_what_was_deployed_or_ran_before_it_is_no_drift() -> None:
    known = Known([served(NEW, "1.1.0", 40.0, before=OLD)])
    for digest in (OLD, NEW):
        assert drift(None, observed(track(digest), good=False), 100.0, known) == {}
    assert drift(None, observed(track(OTHER), good=False), 100.0, known) == {"version": 100.0}


def test_a_good_version_that_is_older_than_the_newest_deployment_says_nothing_where_nothing_is_judged() -> None:
    """A person's rollback leaves it in an environment before the last one, where releases only deploy."""
    deployed = served(NEW, "1.1.0", 40.0)
    assert drift(None, observed(track(NEW)), 100.0, Known([deployed])) == {}
    judged = Known([deployed.model_copy(update={"judged": True})])
    assert drift(None, observed(track(NEW)), 100.0, judged) == {"version": 100.0}


# --- the lease ------------------------------------------------------------------------------------------------------


def test_a_lease_by_anybodys_clock_is_held_while_it_is_renewed(before: Sighting) -> None:
    lease = Lease(holder="release_shop/r#0", fence=1, expires_at=90.0, seconds=120.0)
    assert is_held(lease, None, 100.0)
    past = before.model_copy(update={"held_until": 90.0})
    assert not is_held(lease, past, 160.0)
    assert is_held(lease.model_copy(update={"expires_at": 150.0}), past, 160.0)


def test_who_holds_it_and_at_which_step() -> None:
    lease = Lease(holder="release_shop/r#0", fence=1, expires_at=1000.0)
    what = observed(lease=lease)
    assert what.route
    note = what.route.note.model_copy(update={"release": "release_shop/r#0", "step": "step_10"})
    row = look(None, what.model_copy(update={"route": what.route.model_copy(update={"note": note})}), 100.0)
    assert (row.holder, row.held_until, row.step) == ("release_shop/r#0", 1000.0, "step_10")


# --- the history is asked only where there is something to ask ------------------------------------------------------


def test_where_the_same_runs_as_before_the_row_knows_it_already() -> None:
    history = Known([served(OLD, "1.0.0", 40.0)], {OLD: "1.0.0"})
    row = look(None, observed(), 100.0, history)
    again = Known.from_last_look(row, observed())
    assert again is not None
    assert look(row, observed(), 160.0, again) == look(row, observed(), 160.0, history)
    assert Known.from_last_look(None, observed()) is None
    assert Known.from_last_look(row, observed(track(NEW))) is None
    assert Known.from_last_look(row, observed(beside=[canary()])) is None
    assert Known.from_last_look(look(row, observed(track(OTHER)), 160.0), observed(track(OTHER))) is None
