"""The release that a loop works for, and the ports that it works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.progress import Progress
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.traffic import Traffic
from release_pipelines.core.model.window import WindowRule
from release_pipelines.core.ports.entry import AskEntry
from release_pipelines.core.ports.metrics import OpenClient, OpenMetrics
from release_pipelines.core.ports.platform import Platform
from release_pipelines.core.progression.commands import ReleaseCommands
from release_pipelines.core.progression.waiting import insist

if TYPE_CHECKING:
    from release_pipelines.core.calendars import Standing
    from release_pipelines.core.model.observation import Observed


class RecordEvent(Protocol):
    """Keeps an event of the release: its kind, a sentence, and what programs read of it."""

    async def __call__(self, kind: str, sentence: str, data: dict[str, Any] | None = None) -> None:
        """Keep it. Never raises."""


Tell = Callable[[Progress], Awaitable[None]]
Show = Callable[["Observed"], None]
AskCalendars = Callable[[float], Awaitable["Standing"]]


async def nothing_recorded(kind: str, sentence: str, data: dict[str, Any] | None = None) -> None:
    """For those who have no history."""


async def nothing_told(progress: Progress) -> None:
    """For those whom nobody watches."""


def nothing_shown(observed: Observed) -> None:
    """The same."""


@dataclass(frozen=True)
class ReleaseContext:
    """One release in one environment.

    :param platform: where the app runs.
    :param ask_entry: sends a request to where the traffic enters.
    :param open_metrics: opens the metrics service of a connection.
    :param open_client: opens other services that metric sources ask.
    :param commands: what people tell the release to do.
    :param target: the app in its environment.
    :param release: the release's id.
    :param artifact: the new version.
    :param fence: the fence of the release's lease.
    :param calls_people: a way back that does not get through ends the loop with :class:`TrafficStuck`, so that its task can call
        people and start it again; False: they have been called, or the loop has nobody who would.
    :param tell_at: when people are told that one of them is waited for, as Unix time in seconds: that ends the loop, too; None: it has
        nobody who would tell them.
    :param record: keeps an event of the release: its kind, and a sentence.
    :param tell: keeps how far the stage has come, for people who look while it runs. Never raises, and keeps nobody waiting.
    :param show: keeps what runs, as it was observed just now, for the same people. Never raises, and keeps nobody waiting.
    :param window: the calendars that the release keeps to; None: it keeps to none.
    :param ask_calendars: says whether they are open at a Unix time in seconds, as they are written now.
    :param previous: the old version: stable gets it back where the new one was put on stable itself, and a baseline runs it.
    """

    platform: Platform
    ask_entry: AskEntry
    open_metrics: OpenMetrics
    commands: ReleaseCommands
    target: Target
    release: str
    artifact: Artifact
    fence: int
    previous: Artifact | None = None
    record: RecordEvent = nothing_recorded
    tell: Tell = nothing_told
    show: Show = nothing_shown
    calls_people: bool = False
    tell_at: float | None = None
    open_client: OpenClient | None = None
    window: WindowRule | None = None
    ask_calendars: AskCalendars | None = None

    async def split(self, traffic: Traffic, note: RouteNote) -> None:
        """State who gets which traffic, again and again while the platform is unavailable.

        What did not get through is not made up for after an abort: the heartbeat may have given the traffic back meanwhile.
        """
        tried = False

        async def stated() -> None:
            nonlocal tried
            if tried and (await self.commands.state()).abort:
                return
            tried = True
            await self.platform.split(self.target, traffic, note, self.fence)

        await insist(stated)
