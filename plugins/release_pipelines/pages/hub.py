"""What is looked at now: read once for everybody, when the history says that something is new."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import Request

from release_pipelines.adapters.history import HistoryUnavailable
from release_pipelines.adapters.history.pulse import News, Pulse, news
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.progression.waiting import within

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.adapters.history.pulse import Sign
    from release_pipelines.pages.access import Viewer
    from release_pipelines.pages.saying import Told

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Time between two looks at the history, in seconds."""
AGAIN_SECONDS = 30.0
"""After this time a page is read again, though nothing is new: windows open and deadlines pass by themselves."""
LINGER_SECONDS = 5.0
"""How long a page is kept after the last one looked away: streams end and are taken up again."""
SLOW_SECONDS = 3.0
"""From this time on the history is called slow, in seconds."""
REST = 10
"""So many times as long as reading it took, a page is not read again: where there is always something new, and much of it, a
server has other things to do."""
STOP_SECONDS = 1.0
"""Time between two looks whether the server stops, in seconds."""
READERS, PAINTERS = 3, 2
"""Threads that may wait for the history, and that ask for rights and write HTML."""


class Page(Protocol):
    """A page that is live.

    :ivar key: of pages with equal ones, one is read for all who look; what they show of it may differ by :meth:`sight`.
    :ivar release: id of the release that it shows; None where it shows many.
    """

    @property
    def key(self) -> Hashable: ...

    @property
    def release(self) -> str | None: ...

    def touched(self, news: News) -> bool:
        """Whether what is new in the history concerns this page."""

    def read(self, history: History) -> Any:
        """All that the page needs, whoever looks. Blocks."""

    def sight(self, data: Any, viewer: Viewer) -> Hashable:
        """What of it this viewer wants to see, and may see and do; equal ones get the same HTML. Asks Airflow: blocks.

        :raises Refused: when they may see nothing of it.
        """

    def parts(self, request: Request, data: Any, sight: Any) -> dict[str, str]:
        """The page's parts, by the id of their element; each one a whole element with that id.

        :param request: of one of the viewers who may see the same; its ``state.viewer`` stands for all of them.
        """

    def told(self, data: Any, sight: Any) -> Sequence[Told]:
        """What a screen reader says of it, oldest first."""


@dataclass(frozen=True)
class Rendered:
    """A page for all viewers with the same sight."""

    parts: dict[str, str]
    told: Sequence[Told]

    @cached_property
    def whole(self) -> str:
        """All of it as JSON, for every connection that begins."""
        return state(self.parts, self.parts, self.told)


def state(parts: Mapping[str, str], order: Iterable[str], say: Iterable[Told]) -> str:
    """What a page shows as JSON.

    :param parts: those that are sent.
    :param order: the ids of all.
    :param say: what a screen reader says.
    """
    shown = {"parts": parts, "order": list(order), "say": [it._asdict() for it in say]}
    return json.dumps(shown, separators=(",", ":"))


@dataclass
class Shown:
    """A page that is looked at: what was read last, and how that went."""

    page: Page
    viewers: int = 0
    left_at: float = field(default_factory=time.monotonic)
    data: Any = None
    version: int = 0
    as_of: float | None = None
    """Unix time at which the history was last known to say just this, in seconds."""
    read_at: float = 0.0
    took: float = 0.0
    """How long reading it took, in seconds."""
    failed: bool = False
    touched: bool = False
    waits_since: float | None = None
    reading: bool = False
    again: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _rendered: dict[Hashable, asyncio.Future[Rendered]] = field(default_factory=dict)

    def trouble(self) -> str | None:
        """What keeps the page from being up to date, in one word: ``loading``, ``slow`` or ``away``."""
        waits = 0.0 if self.waits_since is None else time.monotonic() - self.waits_since
        if self.failed:
            return "away"
        if waits > SLOW_SECONDS:
            return "slow"
        return None if self.version else "loading"

    def tell(self) -> None:
        """Wake everybody who looks."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def changes(self, seconds: float) -> None:
        """Wait until there is something to tell, for at most so many seconds."""
        with suppress(asyncio.TimeoutError):
            await within(max(0.0, seconds), self._changed.wait())

    @property
    def rests(self) -> bool:
        """Whether it was read just now, for what that takes."""
        return time.monotonic() - self.read_at < REST * self.took

    def keep(self, data: Any, as_of: float, took: float) -> None:
        """Keep what was read."""
        self.data, self.as_of, self.version, self.read_at, self.took = (
            data,
            as_of,
            self.version + 1,
            time.monotonic(),
            took,
        )
        self.failed, self.waits_since = False, None
        self._rendered.clear()
        self.tell()


class Hub:
    """One for a server process.

    :param opened: opens the history.
    :param look_seconds: time between two looks, in seconds.
    """

    def __init__(self, opened: Callable[[], History] | None = None, look_seconds: float = LOOK_SECONDS) -> None:
        self._opened = opened or (lambda: HistoryHook().history())
        self._look_seconds = look_seconds
        self._shown: dict[Hashable, Shown] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._readers = ThreadPoolExecutor(READERS, "releases-history")
        self._painters = ThreadPoolExecutor(PAINTERS, "releases-pages")
        self._history: History | None = None
        self._pulse: Pulse | None = None

    @asynccontextmanager
    async def looking(self, page: Page) -> AsyncIterator[Shown]:
        """A page for as long as somebody looks at it."""
        if self._loop is not asyncio.get_running_loop():  # the first one of a server, or of the next one
            self._loop, self._shown, self._tasks = asyncio.get_running_loop(), {}, set()
        if not self._shown:
            self._start(self._watch())
            self._start(self._watch_the_server())
        shown = self._shown.get(page.key)
        if shown is None:
            shown = self._shown[page.key] = Shown(page)
            self._read_soon(shown)
        shown.viewers += 1
        try:
            yield shown
        finally:
            shown.viewers -= 1
            shown.left_at = time.monotonic()

    async def sight(self, page: Page, shown: Shown, viewer: Viewer) -> Hashable:
        """What a viewer may see of their page; see :meth:`Page.sight`."""
        found: Hashable = await self._paint(page.sight, shown.data, viewer)
        return found

    async def rendered(self, request: Request, page: Page, shown: Shown, sight: Hashable) -> Rendered:
        """A page's HTML: written once for all viewers who may see the same."""
        key = (sight, request.scope.get("root_path", ""))
        known = shown._rendered
        if key not in known:
            known[key] = asyncio.ensure_future(self._paint(_rendered, page, request, shown.data, sight))
        return await asyncio.shield(known[key])

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _paint(self, work: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._painters, work, *given)

    async def _ask(self, work: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work, *given)

    async def _watch(self) -> None:
        """Look at the history for as long as there is somebody to tell."""
        before: frozenset[Sign] | None = None
        while self._forget():
            begun, at = time.monotonic(), time.time()
            waiting = list(self._shown.values())
            for it in waiting:
                it.waits_since = it.waits_since or begun
            try:
                now = await self._ask(self._look, self._watched())
            except Exception as error:
                _complain(error)
                for it in waiting:
                    it.failed = True
                    it.tell()
                before = None
            else:
                self._take(news(before, now), at, waiting)
                before = now
            await asyncio.sleep(max(0.0, self._look_seconds - (time.monotonic() - begun)))
        pulse, self._pulse = self._pulse, None  # the next one who looks may come while this one is closed
        if pulse is not None:
            await self._ask(pulse.close)

    def _take(self, found: News, at: float, waiting: list[Shown]) -> None:
        """What a look has found, for the pages that were looked at when it began."""
        for it in waiting:
            it.touched = it.touched or bool(found and it.page.touched(found))
            if it.failed or time.monotonic() - it.read_at > AGAIN_SECONDS or (it.touched and not it.rests):
                self._read_soon(it)
            elif it.version and not (it.reading or it.touched):
                it.as_of, it.waits_since = at, None

    def _watched(self) -> list[str]:
        return [it.page.release for it in self._shown.values() if it.page.release]

    def _look(self, watched: list[str]) -> frozenset[Sign]:
        if self._pulse is None:
            self._pulse = self._open().pulse()
        return self._pulse.look(watched)

    def _open(self) -> History:
        if self._history is None:
            self._history = self._opened()
        return self._history

    def _read_soon(self, shown: Shown) -> None:
        """Read a page; while it is being read, once more afterwards: the read may have been too early for what is new."""
        if shown.reading:
            shown.again = True
            return
        shown.reading = True
        self._start(self._read(shown))

    async def _read(self, shown: Shown) -> None:
        try:
            while True:
                shown.again = shown.touched = False
                begun, at = time.monotonic(), time.time()
                shown.waits_since = shown.waits_since or begun
                data = await self._ask(lambda: shown.page.read(self._open()))
                shown.keep(data, at, time.monotonic() - begun)
                if not shown.again:
                    return
        except Exception as error:
            _complain(error)
            shown.failed = True
            shown.tell()
        finally:
            shown.reading = False

    def _forget(self) -> bool:
        """Drop what nobody looks at any more; whether anything is left."""
        late = time.monotonic() - LINGER_SECONDS
        for key, it in list(self._shown.items()):
            if not it.viewers and it.left_at < late:
                del self._shown[key]
        return bool(self._shown)

    async def _watch_the_server(self) -> None:
        """Wake everybody when the server stops: it waits for streams that are open."""
        while self._shown and not stopping():  # noqa: ASYNC110 - the signal sets no event
            await asyncio.sleep(STOP_SECONDS)
        for it in self._shown.values():
            it.tell()


def _rendered(page: Page, request: Request, data: Any, sight: Any) -> Rendered:
    return Rendered(page.parts(request, data, sight), page.told(data, sight))


def _complain(error: Exception) -> None:
    if isinstance(error, HistoryUnavailable):
        log.warning("%s", error)
    else:
        log.error("A page cannot be kept up to date.", exc_info=error)


def stopping() -> bool:
    """Whether the server has been told to stop. Uvicorn tells nobody, but what takes its signal knows."""
    handler = signal.getsignal(signal.SIGTERM)
    return bool(getattr(getattr(handler, "__self__", None), "should_exit", False))
