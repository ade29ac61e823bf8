from __future__ import annotations

from include.sandbox.report import mistakes
from include.sandbox.run import Release, Weights, canary_weight
from include.sandbox.services import Entry

PREFIX = "shop-production-"


def _weighted(**weights: int) -> dict[str, object]:
    services = [{"name": f"{PREFIX}{track}", "weight": weight} for track, weight in weights.items()]
    return {"name": "shop-production@redis", "weighted": {"services": services}}


def test_the_canarys_weight_is_read_from_the_proxy() -> None:
    others = {"name": "api@internal"}
    assert canary_weight([others, _weighted(stable=90, canary=10)], PREFIX) == 10
    assert canary_weight([_weighted(stable=100)], PREFIX) == 0


def test_an_app_that_has_no_route_has_no_weight() -> None:
    assert canary_weight([{"name": "api@internal"}, _weighted(stable=1)], "other-production-") is None


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
