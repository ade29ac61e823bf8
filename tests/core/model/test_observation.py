"""What gets requests: also testers and copies count, which have no weight (R5)."""

from __future__ import annotations

import pytest

from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Match, Traffic, share_with

TESTERS = Match(kind="header", name="x-tester", value="yes")


@pytest.mark.parametrize(
    ("traffic", "beside", "named"),
    [
        (ALL_TO_STABLE, [], "no traffic"),
        (ALL_TO_STABLE.model_copy(update={"sticky": True}), [], "no traffic"),
        (share_with("canary", 0), [], "no traffic"),
        (share_with("canary", 20), ["canary"], "20 % of the traffic"),
        (share_with("canary", 0, testers=TESTERS), ["canary"], "requests of testers"),
        (share_with("canary", 0, mirror=30), ["canary"], "copies of requests"),
        (share_with("canary", 20, mirror=30), ["canary"], "20 % of the traffic and copies of requests"),
    ],
)
def test_stable_is_alone_when_no_request_goes_anywhere_else(traffic: Traffic, beside: list[str], named: str) -> None:
    observed = Observed(route=Route(traffic=traffic, fence=1, note=RouteNote()))
    assert (observed.stable_alone, observed.beside) == (not beside, beside)
    assert traffic.named("canary") == named


def test_without_a_route_nobody_serves() -> None:
    assert (Observed().stable_alone, Observed().beside) == (False, [])
