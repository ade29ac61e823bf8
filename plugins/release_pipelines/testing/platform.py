"""What a release relies on in every platform."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

import pytest

from release_pipelines.core.errors import FenceLost, LeaseHeld, PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import Answer, Observed, TrackStatus
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Match, Traffic, share_with
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.ports.platform import Platform

T = TypeVar("T")

TTL = 120.0
LOOK_SECONDS = 0.1
HEADER = Match(kind="header", name="x-tester", value="yes")


@dataclass
class Place:
    """An app of its own on the platform: nothing of it runs, it has no traffic, and nobody holds its lease.

    :param platform: entered, ready to be called.
    :param target: the app; few replicas make fast tests.
    :param old: an artifact that becomes ready, and answers with its version.
    :param new: another one that does.
    :param broken: one that never becomes ready.
    :param patience: time within which a version becomes ready or fails, in seconds.
    """

    platform: Platform
    target: Target
    old: Artifact
    new: Artifact
    broken: Artifact
    patience: float = 120.0

    async def take(self, holder: str = "release_one", *, force: bool = False) -> Lease:
        """Become the one writer."""
        return await self.platform.take_lease(self.target, holder, TTL, force=force)

    async def observe(self) -> Observed:
        """One look."""
        return await self.platform.observe(self.target)

    async def route(self) -> Route:
        """The route, which has to be there."""
        route = (await self.observe()).route
        assert route is not None, "there is no route"
        return route

    async def deploy(self, track: Track, artifact: Artifact, fence: int) -> TrackStatus:
        """State that the track shall run it, and wait for the end of that."""
        await self.platform.deploy(self.target, track, artifact, 1, fence)
        return await self.ended(track, fence)

    async def ended(self, track: Track, fence: int) -> TrackStatus:
        """The status of a track that is settled, or has failed."""

        async def look() -> TrackStatus | None:
            status = await self.platform.advance(self.target, track, fence)
            return status if status.settled or status.failure else None

        return await _until(look, self.patience)

    async def answering(self, track: Track) -> str | None:
        """The version that answers on a track that is ready: what leads to it may be a moment behind."""

        async def ask() -> Answer | None:
            with suppress(PlatformError):
                return await self.platform.ask(self.target, track, "/")
            return None

        return (await _until(ask, self.patience)).version

    async def split(self, traffic: Traffic, fence: int, note: RouteNote | None = None) -> bool:
        """State who gets which requests."""
        return await self.platform.split(self.target, traffic, note or RouteNote(traffic=traffic), fence)

    async def accepted(self, traffic: Traffic, fence: int, note: RouteNote | None = None) -> bool:
        """The same, to tracks that were ready a moment ago: on a busy machine one may miss a probe, and is asked again."""

        async def split() -> bool | None:
            try:
                return await self.split(traffic, fence, note)
            except PlatformError as error:
                if "no ready replica" not in str(error):
                    raise
            return None

        return await _until(split, self.patience)

    async def serve_old(self) -> Lease:
        """Take the lease, and let the old version serve everybody."""
        lease = await self.take()
        assert (await self.deploy("stable", self.old, lease.fence)).settled
        await self.accepted(ALL_TO_STABLE, lease.fence)
        return lease

    @asynccontextmanager
    async def unchanged(self) -> AsyncIterator[None]:
        """Assert that traffic and note, and what is wanted, are after the block as they were before."""
        before = await self.observe()
        yield
        after = await self.observe()
        assert after.route == before.route
        assert _wanted(after) == _wanted(before)


async def _until(ask: Callable[[], Awaitable[T | None]], within: float) -> T:
    """Ask until there is an answer.

    :param within: seconds after which it fails.
    """
    deadline = time.monotonic() + within
    while (answer := await ask()) is None:
        assert time.monotonic() < deadline, f"nothing came of {ask.__qualname__} in {within:g} s"
        await asyncio.sleep(LOOK_SECONDS)
    return answer


def _wanted(observed: Observed) -> dict[Track, tuple[str | None, int]]:
    return {track: (it.digest, it.wanted) for track, it in observed.tracks.items() if it.wanted}


@pytest.mark.asyncio
class PlatformContract:
    """Subclass it, and give it a fixture ``place``: a :class:`Place` of its own for every test."""

    @pytest.fixture
    def place(self) -> Place:
        """The platform under test; a subclass overrides it."""
        raise NotImplementedError("A fixture `place` is expected in the subclass.")

    # --- workloads --------------------------------------------------------------------------------------------

    async def test_deploying_what_stands_changes_nothing(self, place: Place) -> None:
        fence = (await place.take()).fence
        assert await place.platform.deploy(place.target, "stable", place.old, 1, fence)
        status = await place.ended("stable", fence)
        assert (status.settled, status.digest, status.version) == (True, place.old.digest, place.old.version)
        async with place.unchanged():
            assert not await place.platform.deploy(place.target, "stable", place.old, 1, fence)
        assert (await place.ended("stable", fence)).settled

    async def test_a_deploy_never_changes_the_traffic(self, place: Place) -> None:
        fence = (await place.serve_old()).fence
        before = await place.route()
        assert (await place.deploy("canary", place.new, fence)).settled
        assert await place.route() == before
        observed = await place.observe()
        assert observed.track("stable").digest == place.old.digest
        assert observed.track("canary").digest == place.new.digest

    async def test_a_version_that_cannot_start_fails_with_a_sentence_and_gets_no_traffic(self, place: Place) -> None:
        fence = (await place.serve_old()).fence
        status = await place.deploy("canary", place.broken, fence)
        assert (status.settled, status.ready) == (False, 0)
        assert status.failure
        async with place.unchanged():
            with pytest.raises(PlatformError, match="no ready replica"):
                await place.split(share_with("canary", 10), fence)
        with pytest.raises(PlatformError):
            await place.platform.ask(place.target, "canary", "/")

    async def test_a_track_is_retired_once_no_request_goes_there_any_more(self, place: Place) -> None:
        fence = (await place.serve_old()).fence
        await place.deploy("canary", place.new, fence)
        assert await place.answering("canary") == place.new.version
        await place.accepted(share_with("canary", 50), fence)
        sent: tuple[Track, ...] = ("canary", "stable")
        for track in sent:
            async with place.unchanged():
                with pytest.raises(PlatformError):
                    await place.platform.retire(place.target, track, fence)
        await place.accepted(ALL_TO_STABLE, fence)
        assert await place.platform.retire(place.target, "canary", fence)
        assert not await place.platform.retire(place.target, "canary", fence)
        assert (await place.observe()).beside == []
        with pytest.raises(PlatformError):
            await place.platform.ask(place.target, "canary", "/")

    # --- traffic ----------------------------------------------------------------------------------------------

    async def test_a_first_route_waits_until_stable_is_ready(self, place: Place) -> None:
        fence = (await place.take()).fence
        with pytest.raises(PlatformError):
            await place.split(ALL_TO_STABLE, fence)
        assert (await place.observe()).route is None

    async def test_a_track_without_a_ready_replica_gets_no_traffic(self, place: Place) -> None:
        fence = (await place.serve_old()).fence
        for wanted in (
            share_with("canary", 1),
            share_with("preview", 100),
            Traffic(weights={"stable": 50, "canary": 25, "baseline": 25}),
            Traffic(weights={"stable": 100}, testers=HEADER),
        ):
            async with place.unchanged():
                with pytest.raises(PlatformError):
                    await place.split(wanted, fence)

    async def test_traffic_and_note_are_read_back_as_they_were_written_together(self, place: Place) -> None:
        fence = (await place.serve_old()).fence
        await place.deploy("canary", place.new, fence)
        for weight in (1, 33, 100, 50, 0):
            wanted = share_with("canary", weight)
            note = RouteNote(release="release_one", step=f"step_{weight}", traffic=wanted)
            assert await place.accepted(wanted, fence, note)
            route = await place.route()
            assert route.traffic.same(wanted)
            assert sum(route.traffic.weights.values()) == 100
            assert (route.note, route.fence, route.changed_by) == (note, fence, None)
            assert not await place.split(wanted, fence, note)

    async def test_a_note_may_change_alone_and_comes_back_whole(self, place: Place) -> None:
        fence = (await place.serve_old()).fence
        full = RouteNote(
            release='release_shop/manual__2026-01-01T00:00:00+00:00#1 "quoted" \\ é 漢字 \n',
            step="step_25",
            traffic=ALL_TO_STABLE,
            started_at=1767225600.123456,
            paused_at=1767225601.5,
            paused_for=0.1,
            verdict=Verdict(
                judgement="pass",
                decided_at=1767225602.25,
                step="step_25",
                weight=25,
                sentence="0 % over 1,234 requests",
            ),
            evidence={"error rate": {"log": -1.25e-7, "counts": [0, 12345678901], "nested": {"a": "", "b": True}}},
            last_good=place.old.model_copy(update={"evidence": {"scan": "no findings"}}),
            done=True,
        )
        assert await place.split(ALL_TO_STABLE, fence, full)
        assert (await place.route()).note.model_dump_json() == full.model_dump_json()
        assert await place.split(ALL_TO_STABLE, fence, RouteNote())
        assert (await place.route()).note == RouteNote()

    # --- lease and fence --------------------------------------------------------------------------------------

    async def test_a_lease_has_one_holder(self, place: Place) -> None:
        assert (await place.observe()).lease is None
        lease = await place.take("one")
        assert (await place.take("one")).fence == lease.fence
        with pytest.raises(LeaseHeld, match="one"):
            await place.take("two")
        held = (await place.observe()).lease
        assert held is not None
        assert (held.holder, held.fence) == ("one", lease.fence)

    async def test_a_forced_take_raises_the_fence_and_its_loser_is_told(self, place: Place) -> None:
        lost = await place.take("one")
        lease = await place.take("two", force=True)
        assert lease.fence > lost.fence
        with pytest.raises(FenceLost):
            await place.platform.renew_lease(place.target, lost, TTL)
        assert not await place.platform.give_back_lease(place.target, lost)
        held = (await place.observe()).lease
        assert held is not None
        assert (held.holder, held.fence) == ("two", lease.fence)

    async def test_a_holder_ends_its_own_lease_for_a_newer_one_but_never_somebody_elses(self, place: Place) -> None:
        old = await place.take("one")
        platform, target = place.platform, place.target
        new = await platform.take_lease(target, "one", TTL, expired=old)
        assert new.fence > old.fence  # what it has begun elsewhere writes nothing more
        with pytest.raises(FenceLost):
            await platform.renew_lease(target, old, TTL)
        await place.take("two", force=True)
        with pytest.raises(LeaseHeld, match="two"):
            await platform.take_lease(target, "one", TTL, expired=new)

    async def test_a_renewed_lease_ends_later_and_an_expired_one_may_be_taken(self, place: Place) -> None:
        lease = await place.platform.take_lease(place.target, "one", 1)
        renewed = await place.platform.renew_lease(place.target, lease, 3)
        assert (renewed.holder, renewed.fence) == (lease.holder, lease.fence)
        assert renewed.expires_at > lease.expires_at
        with pytest.raises(LeaseHeld):
            await place.take("two")

        async def take() -> Lease | None:
            with suppress(LeaseHeld):
                return await place.take("two")
            return None

        taken = await _until(take, within=20)
        assert taken.fence > lease.fence
        with pytest.raises(FenceLost):
            await place.platform.renew_lease(place.target, renewed, TTL)

    async def test_a_lease_is_given_back_once_and_its_fence_ends_with_it(self, place: Place) -> None:
        lease = await place.take("one")
        assert await place.platform.give_back_lease(place.target, lease)
        assert not await place.platform.give_back_lease(place.target, lease)
        assert (await place.observe()).lease is None
        with pytest.raises(FenceLost):
            await place.platform.deploy(place.target, "stable", place.old, 1, lease.fence)
        assert (await place.take("one")).fence > lease.fence

    async def test_an_older_fence_is_refused_on_every_write(self, place: Place) -> None:
        old = (await place.serve_old()).fence
        lease = await place.take("release_two", force=True)
        assert (await place.route()).fence == lease.fence
        platform, target = place.platform, place.target
        writes: list[Callable[[], Awaitable[object]]] = [
            lambda: platform.deploy(target, "stable", place.new, 1, old),
            lambda: platform.deploy(target, "canary", place.new, 1, old),
            lambda: platform.advance(target, "stable", old),
            lambda: place.split(ALL_TO_STABLE, old, RouteNote(release="one")),
            lambda: platform.retire(target, "canary", old),
        ]
        async with place.unchanged():
            for write in writes:
                with pytest.raises(FenceLost):
                    await write()
        # What stands is right for the new holder, too.
        assert not await place.split(ALL_TO_STABLE, lease.fence)
        assert not await platform.deploy(target, "stable", place.old, 1, lease.fence)
