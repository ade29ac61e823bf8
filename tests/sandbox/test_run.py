from __future__ import annotations

from sandbox.report import mistakes, reactions
from sandbox.run import Release, Weights, share_of, weight_beside
from sandbox.services import Entry

PREFIX = "shop-production-"


def _weighted(**weights: int) -> dict[str, object]:
    services = [{"name": f"{PREFIX}{track}", "weight": weight} for track, weight in weights.items()]
    return {"name": "shop-production@redis", "weighted": {"services": services}}


def test_the_weight_of_the_new_version_is_read_from_the_proxy() -> None:
    others = {"name": "api@internal"}
    assert weight_beside([others, _weighted(stable=90, canary=10)], PREFIX) == 10
    assert weight_beside([_weighted(stable=0, canary=0, preview=100)], PREFIX) == 100
    assert weight_beside([_weighted(stable=100)], PREFIX) == 0


def test_the_weight_of_the_new_version_is_read_from_a_gateway_of_a_cluster() -> None:
    route = "httproute-shop-storefront-gw-shop-web-ep-web-0-a3d12c9f351cbddc53d0-svc-shop-storefront"
    services = [{"name": f"{route}-0", "weight": 70}, {"name": f"{route}-canary-1", "weight": 30}]
    assert weight_beside([{"name": "any", "weighted": {"services": services}}], "shop-storefront-") == 30


def test_the_previews_own_address_is_no_share_of_the_traffic() -> None:
    assert weight_beside([_weighted(preview=100), _weighted(stable=100, preview=0)], PREFIX) == 0


def test_an_app_that_has_no_route_has_no_weight() -> None:
    assert weight_beside([{"name": "api@internal"}, _weighted(stable=1)], "other-production-") is None


def test_who_answers_users_is_counted_between_two_looks() -> None:
    before = {"answered": 100, "versions": {"1.0.0": {"answered": 100}}}
    after = {"answered": 140, "versions": {"1.0.0": {"answered": 130}, "1.1.0": {"answered": 10}}}
    assert share_of("1.1.0", before, after) == 25
    assert share_of("1.0.0", before, after) == 75
    assert share_of("1.2.0", after, after) == 0


def test_the_return_of_traffic_is_timed_from_the_verdict() -> None:
    weights = Weights(Entry())
    weights.changes = [(1.0, 0), (2.0, 10), (5.0, 0)]
    assert weights.zero_after(4.5) == 0.5
    assert weights.zero_after(6.0) is None


def test_a_lost_request_or_an_unexpected_outcome_is_said_in_a_sentence() -> None:
    releases = [Release("1.0.0", "a", sent=100), Release("1.1.0", "b", sent=100, lost=2)]
    history = {"1.0.0": {"outcome": "failed"}, "1.1.0": {"outcome": "released"}}
    assert mistakes(releases, history, {"1.0.0": "released", "1.1.0": "released"}) == [
        "1.0.0 ended as failed in the history, released is expected.",
        "2 of 100 requests were lost while 1.1.0 was released.",
    ]


def test_how_soon_a_bad_version_lost_its_traffic_is_said_as_far_as_it_was_seen() -> None:
    good, verdict = Release("1.1.0", "a"), {"judgement": "fail"}
    canary = Release("1.2.0", "b", verdict=verdict, weight_zero_after=0.11, last_answer_after=-0.2)
    rolling = Release("1.2.0", "c", verdict=verdict, last_answer_after=2.3)
    assert list(reactions([good, canary, rolling])) == [
        "1.2.0: after the measurement that decided the verdict the proxy sent it nothing more from 110 ms on, "
        "and no user got an answer from it.",
        "1.2.0: after the measurement that decided the verdict its last answer to a user came 2.3 s later.",
    ]
