from __future__ import annotations

import pytest

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.guard import refuse_unready
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Match, Traffic, share_with
from tests.fakes import target

TESTERS = Traffic(weights={"stable": 100}, testers=Match(kind="header", name="x-tester", value="yes"))
MIRROR = Traffic(weights={"stable": 100}, mirror=100)


async def refused(wanted: Traffic, current: Traffic | None, *ready: Track) -> str | None:
    """The track that gets no traffic."""

    async def is_ready(track: Track) -> bool:
        return track in ready

    try:
        await refuse_unready(target(), wanted, current, is_ready)
    except PlatformError as error:
        return str(error).split()[1]
    return None


@pytest.mark.parametrize("wanted", [share_with("canary", 5), share_with("preview", 100), TESTERS, MIRROR])
async def test_a_track_that_would_get_requests_has_a_ready_replica(wanted: Traffic) -> None:
    track = "preview" if wanted.weight("preview") else "canary"
    assert await refused(wanted, ALL_TO_STABLE, "stable") == track
    assert await refused(wanted, ALL_TO_STABLE, "stable", track) is None


async def test_a_first_route_is_for_a_stable_that_is_ready() -> None:
    assert await refused(ALL_TO_STABLE, None) == "stable"
    assert await refused(ALL_TO_STABLE, None, "stable") is None


async def test_traffic_that_stays_or_falls_asks_for_nothing() -> None:
    assert await refused(share_with("canary", 5), share_with("canary", 5)) is None
    assert await refused(ALL_TO_STABLE, ALL_TO_STABLE) is None


async def test_traffic_returns_from_a_dead_track_even_to_a_stable_that_is_not_ready() -> None:
    assert await refused(ALL_TO_STABLE, share_with("canary", 50)) is None
    assert await refused(ALL_TO_STABLE, share_with("canary", 50), "canary") == "stable"
