"""What all triggers of this package share, and the triggers that several features use.

A trigger is a shell: it turns its JSON arguments into values, opens the ports, and yields the event of a loop in
:mod:`release_pipelines.core.progression`. The loop is imported when it runs: DAG files, too, load triggers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.core.errors import CredentialsRefused, PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.window import WindowRule
from release_pipelines.core.text import storable

if TYPE_CHECKING:
    from release_pipelines.core.ports.platform import Platform
    from release_pipelines.core.progression.context import ReleaseContext

log = logging.getLogger(__name__)

T = TypeVar("T")

REFUSED_SECONDS = 20.0
"""So long credentials that are not accepted are read anew: those that are exchanged need a moment."""


def error_event(error: PlatformError) -> dict[str, Any]:
    """The event of a loop that the platform ended."""
    return {"error": str(error), "kind": type(error).__name__}


async def with_platform(target: Target, work: Callable[[Platform], Awaitable[T]]) -> T:
    """Open the platform, and await ``work`` with it.

    Where the platform does not accept the credentials, the connection is read anew and ``work`` begins anew, as after a restart
    of the triggerer: what lasts for hours outlives them. Only a refusal that stays is raised.

    :param target: the app in its environment.
    :param work: what can begin anew at any moment.
    """
    from release_pipelines.core.progression.waiting import RETRY_SECONDS, insist

    refused_since: float | None = None
    while True:
        began = time.monotonic()
        async with AsyncExitStack() as stack:

            async def opened(stack: AsyncExitStack = stack) -> Platform:
                return await stack.enter_async_context(await PlatformHook(target).aplatform())

            try:
                return await work(await insist(opened))
            except CredentialsRefused as refusal:
                now = time.monotonic()
                if refused_since is None or now - began > REFUSED_SECONDS:
                    refused_since = now
                if now - refused_since > REFUSED_SECONDS:
                    raise
                log.warning("%s Reading the connection anew.", refusal)
        await asyncio.sleep(RETRY_SECONDS)


def release_context(platform: Platform, arguments: Mapping[str, Any]) -> ReleaseContext:
    """The release that a trigger works for.

    :param platform: where the app runs.
    :param arguments: the trigger's JSON arguments ``target``, ``release``, ``artifact``, ``fence`` and ``previous``, and ``window`` where it keeps to
        calendars.
    """
    from release_pipelines.adapters import entry
    from release_pipelines.airflow.commands import commands_of, event_record
    from release_pipelines.airflow.hooks import aws, prometheus
    from release_pipelines.airflow.progress import keeper_of, shower_of
    from release_pipelines.airflow.windows import asking
    from release_pipelines.core.progression.context import ReleaseContext

    previous, target = arguments["previous"], Target.model_validate(arguments["target"])
    window = WindowRule.model_validate(arguments["window"]) if arguments.get("window") else None
    return ReleaseContext(
        platform=platform,
        ask_entry=entry.ask,
        open_metrics=prometheus.open_metrics,
        open_client=aws.open_client,
        commands=commands_of(arguments["release"]),
        target=target,
        release=arguments["release"],
        artifact=Artifact.model_validate(arguments["artifact"]),
        fence=arguments["fence"],
        previous=Artifact.model_validate(previous) if previous else None,
        record=event_record(arguments["release"], target.environment),
        calls_people=arguments.get("calls_people", False),
        tell=keeper_of(arguments["release"]),
        show=shower_of(target),
        tell_at=arguments.get("tell_at"),
        window=window,
        ask_calendars=asking(window) if window else None,
    )


class PlatformTrigger(BaseTrigger):
    """A trigger for one app in one environment.

    Its arguments are JSON, its deadlines absolute: after a triggerer restart :meth:`run` starts over, from what it reads from
    the platform. A platform that is unavailable is called again; what it refuses ends in an ``error`` event. Arguments of
    another version are kept, and passed on.

    :param target: a :class:`~release_pipelines.core.model.target.Target` as a dict.
    :param kwargs: the arguments of the subclass, kept as :attr:`arguments` and returned by :meth:`serialize`.
    """

    def __init__(self, *, target: dict[str, Any], **kwargs: Any) -> None:
        super().__init__()
        self.target = Target.model_validate(target)
        self.arguments = {"target": target, **kwargs}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, for Airflow."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self.arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Run the loop; yields one event."""
        try:
            event = await with_platform(self.target, self.watch)
        except PlatformError as error:
            event = error_event(error)
        yield TriggerEvent(storable(event))

    async def watch(self, platform: Platform) -> dict[str, Any]:
        """The loop of the subclass; returns the event's payload (JSON)."""
        raise NotImplementedError


class RolloutTrigger(PlatformTrigger):
    """Advance a track toward what was stated until it is settled or cannot get there (R7).

    :param target: the app in its environment.
    :param track: the track.
    :param fence: the fence of the release's lease.
    :param release: the release's id, if a person may abort it meanwhile; None for a rollback, which cannot be aborted.
    :param artifact: what was stated on the track, and is stated again when somebody else changes it (R14).
    :param restore: whether it was stated with the configuration that it ran with (R8).

    Event: ``{"status": TrackStatus}``; its ``failure`` is a sentence when the rollout cannot succeed. Or
    ``{"aborted": {"by", "reason"}}``.
    """

    def __init__(
        self,
        *,
        target: dict[str, Any],
        track: Track,
        fence: int,
        release: str | None = None,
        artifact: dict[str, Any] | None = None,
        restore: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(
            target=target, track=track, fence=fence, release=release, artifact=artifact, restore=restore, **more
        )
        self.track: Track = track
        self.fence = fence
        self.release = release

    async def watch(self, platform: Platform) -> dict[str, Any]:
        from release_pipelines.airflow.commands import commands_of
        from release_pipelines.core.progression.rollout import Rollout, roll_out

        commands = commands_of(self.release) if self.release is not None else None
        stated, restore = self.arguments["artifact"], self.arguments["restore"]
        artifact = Artifact.model_validate(stated) if stated else None
        rollout = Rollout(platform, self.target, self.track, self.fence, artifact, restore=restore)
        return await roll_out(rollout, commands)


class WatchTrigger(PlatformTrigger):
    """Look at a track, changing nothing, until it is settled or cannot become ready.

    :param target: the app in its environment.
    :param track: the track.

    Event: ``{"status": TrackStatus}``.
    """

    def __init__(self, *, target: dict[str, Any], track: Track, **more: Any) -> None:
        super().__init__(target=target, track=track, **more)
        self.track: Track = track

    async def watch(self, platform: Platform) -> dict[str, Any]:
        from release_pipelines.core.progression.rollout import observe_rollout

        return await observe_rollout(platform, self.target, self.track)


class RetireTrigger(PlatformTrigger):
    """Remove the tracks beside stable at a given time, and let stable settle.

    :param target: the app in its environment.
    :param fence: the fence of the release's lease.
    :param at: when to remove them, as Unix time in seconds.

    Event: ``{"retired": whether there was anything}``.
    """

    def __init__(self, *, target: dict[str, Any], fence: int, at: float, **more: Any) -> None:
        super().__init__(target=target, fence=fence, at=at, **more)
        self.fence = fence
        self.at = at

    async def watch(self, platform: Platform) -> dict[str, Any]:
        from release_pipelines.core.progression.retirement import retire_at

        return await retire_at(platform, self.target, self.fence, self.at)


class LeaseFreeTrigger(PlatformTrigger):
    """Wait until nobody holds the lease, or the holder let it expire.

    :param target: the app in its environment.

    Event: ``{"free": true}``; with the lease as ``expired``, where watching it has shown that nobody renews it.
    """

    async def watch(self, platform: Platform) -> dict[str, Any]:
        from release_pipelines.core.progression.heartbeat import wait_for_lease

        return await wait_for_lease(platform, self.target)
