"""What a train waits for. Every wait keeps its apps, and hears of a person who aborts it."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from release_pipelines.airflow import runs
from release_pipelines.airflow.triggers import error_event
from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.window import WindowRule
from release_pipelines.core.text import storable

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.core.model.command import Command
    from release_pipelines.core.progression.together import Member

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_SECONDS = 2.0
"""Pause between two looks at what is waited for, in seconds."""
KEEP_SECONDS = 60.0
"""Pause between two signs of life of a train, in seconds."""
STATE_SECONDS = 20.0
"""Pause between two questions to Airflow for the state of a run, in seconds; that it has ended is first seen in the history."""


class TrainTrigger(BaseTrigger):
    """Base: look again and again until there is an event, or a person aborts the train.

    Arguments are JSON and kept; :meth:`run` starts over after a restart of the triggerer.

    :param train: the train's id.
    """

    def __init__(self, *, train: str, **arguments: Any) -> None:
        super().__init__()
        self.train = train
        self.arguments = {"train": train, **arguments}
        self._history: History | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, for Airflow."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self.arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; yields one event."""
        yield TriggerEvent(storable(await self._wait()))

    async def _wait(self) -> dict[str, Any]:
        from release_pipelines.airflow.commands import commands_of
        from release_pipelines.core.progression.commands import aborted_by

        commands, kept_at = commands_of(self.train), -math.inf
        while True:
            abort = (await commands.state()).abort
            if abort:
                effect = await self.aborted(abort)
                if abort.answered_at is None:
                    await commands.answer(abort, effect or "The train stops; nothing more of it is begun.")
                if effect is None:
                    return {"aborted": aborted_by(abort)}
            if time.monotonic() - kept_at > KEEP_SECONDS:
                kept_at = time.monotonic()
                await self.ask(lambda history: history.keep_holds(self.train), None)
            try:
                if event := await self.look():
                    return event
            except PlatformUnavailable as error:
                log.warning("%s Asking again.", error)
            except PlatformError as error:
                return error_event(error)
            await (asyncio.sleep(LOOK_SECONDS) if abort else commands.wait(LOOK_SECONDS))

    async def look(self) -> dict[str, Any] | None:
        """Look once; None: it is not there yet."""
        raise NotImplementedError

    async def aborted(self, abort: Command) -> str | None:
        """What an abort of the train does here, in a sentence; None: it ends the wait."""
        return None

    async def ask(self, question: Callable[[History], T], otherwise: T) -> T:
        """Ask the history, in a thread; while it is away ``otherwise``."""
        from release_pipelines.adapters.history import HistoryUnavailable
        from release_pipelines.airflow.hooks.history import HistoryHook

        try:
            if self._history is None:
                self._history = await HistoryHook().ahistory()
            return await asyncio.to_thread(question, self._history)
        except HistoryUnavailable as error:
            log.warning("%s Asking again.", error)
            return otherwise


class RunEndTrigger(TrainTrigger):
    """Wait until a run that the train has started has ended. An abort of the train is passed on to it.

    :param train: the train's id.
    :param dag_id: the DAG.
    :param run_id: the run.

    Event: ``{"state", "dag_id", "run_id"}``; the state is Airflow's word, or null where the history knows that it has ended.
    """

    def __init__(self, *, train: str, dag_id: str, run_id: str, **more: Any) -> None:
        super().__init__(train=train, dag_id=dag_id, run_id=run_id, **more)
        self.dag_id, self.run_id = dag_id, run_id
        self._asked_at = -math.inf

    async def look(self) -> dict[str, Any] | None:
        release = await self.ask(lambda history: history.release_of_run(self.dag_id, self.run_id), None)
        if release is not None and release.outcome is not None:
            return self._ended(None)
        if time.monotonic() - self._asked_at >= STATE_SECONDS:
            self._asked_at = time.monotonic()
            state = await runs.state_of(self.dag_id, self.run_id)
            if state is None or state in runs.ENDED:
                return self._ended(state)
        return None

    def _ended(self, state: str | None) -> dict[str, Any]:
        return {"state": state, "dag_id": self.dag_id, "run_id": self.run_id}

    async def aborted(self, abort: Command) -> str | None:
        def pass_on(history: History) -> str | None:
            release = history.release_of_run(self.dag_id, self.run_id)
            if release is None or release.outcome is not None or release.dag_id != self.dag_id:
                return None
            if not any(it.kind == "abort" for it in history.commands(release.id)):
                history.command(release.id, "abort", abort.by, abort.reason)
            return release.app

        app = await self.ask(pass_on, None)
        return f"The train stops; {app or 'what runs'} is told to abort, and is waited for."


class AppFreeTrigger(TrainTrigger):
    """Wait until nobody holds the lease of an app, or its holder let it expire.

    :param train: the train's id.
    :param target: the app in its environment.

    Event: ``{"free": true}`` or ``{"aborted": {"by", "reason"}}``.
    """

    def __init__(self, *, train: str, target: dict[str, Any], **more: Any) -> None:
        super().__init__(train=train, target=target, **more)
        self.target = Target.model_validate(target)

    async def look(self) -> dict[str, Any] | None:
        from release_pipelines.airflow.hooks.platform import PlatformHook

        async with await PlatformHook(self.target).aplatform() as platform:
            lease = (await platform.observe(self.target)).lease
        return {"free": True} if lease is None or lease.expires_at <= time.time() else None


class AppsFreeTrigger(TrainTrigger):
    """Wait until no other train has any of these apps.

    :param train: the train's id.
    :param places: names of apps and of their environments.

    Event: ``{"free": true}`` or ``{"aborted": {"by", "reason"}}``.
    """

    def __init__(self, *, train: str, places: list[list[str]], **more: Any) -> None:
        super().__init__(train=train, places=places, **more)

    async def look(self) -> dict[str, Any] | None:
        def taken(history: History) -> bool:
            return any(history.train_of(*it) not in (None, self.train) for it in self.arguments["places"])

        return None if await self.ask(taken, True) else {"free": True}


class WaveWindowTrigger(TrainTrigger):
    """Wait until the calendars are open for all apps of a wave; each time the calendars are asked again.

    :param train: the train's id.
    :param rules: a :class:`~release_pipelines.core.model.window.WindowRule` for each app, as a dict.

    Event: ``{"open": sentence}`` or ``{"aborted": {"by", "reason"}}``.
    """

    def __init__(self, *, train: str, rules: list[dict[str, Any]], **more: Any) -> None:
        super().__init__(train=train, rules=rules, **more)
        self._told: str | None = None

    async def look(self) -> dict[str, Any] | None:
        from release_pipelines.airflow.notes import note_run
        from release_pipelines.airflow.windows import asking, goes_on, may_begin

        sentence = ""
        for rule in (WindowRule.model_validate(it) for it in self.arguments["rules"]):
            now = time.time()
            standing = await asking(rule)(now)
            if not may_begin(rule, standing, now):
                words = goes_on(rule, standing)
                if words != self._told:
                    self._told = words
                    log.info(words)
                    await note_run(self.train, words)
                return None
            sentence = standing.sentence
        return {"open": sentence}


class BakeTogetherTrigger(TrainTrigger):
    """Watch what a train released, each app by its own analysis, for a time; the first app that fails ends it.

    :param train: the train's id.
    :param members: ``target``, ``digest`` and ``analysis`` of each app.
    :param started_at: Unix time in seconds at which the watch began.
    :param seconds: its length.

    Event: ``{"failed": {"app", "sentence"} or null, "verdicts": [{"app", "verdict", "samples"}]}`` or ``{"aborted": {"by", "reason"}}``.
    """

    def __init__(
        self, *, train: str, members: list[dict[str, Any]], started_at: float, seconds: float, **more: Any
    ) -> None:
        super().__init__(train=train, members=members, started_at=started_at, seconds=seconds, **more)
        self._members: list[Member] = []

    async def look(self) -> dict[str, Any] | None:
        from release_pipelines.airflow.hooks.platform import PlatformHook

        self._members = self._members or self._made()
        started_at = self.arguments["started_at"]
        until, failed = started_at + self.arguments["seconds"], None
        for member in self._members:
            async with await PlatformHook(member.target).aplatform() as platform:
                if sentence := await member.look(platform, started_at, until):
                    failed = {"app": member.target.app, "sentence": sentence}
                    break
        if failed is None and not all(it.verdict for it in self._members):
            return None
        return {"failed": failed, "verdicts": [self._told(it) for it in self._members if it.verdict]}

    def _made(self) -> list[Member]:
        from release_pipelines.airflow.hooks import aws, prometheus
        from release_pipelines.core.model.analysis import Analysis
        from release_pipelines.core.progression.together import Member

        return [
            Member(
                target=Target.model_validate(it["target"]),
                digest=it["digest"],
                analysis=Analysis.model_validate(it["analysis"]),
                open_metrics=prometheus.open_metrics,
                open_client=aws.open_client,
            )
            for it in self.arguments["members"]
        ]

    @staticmethod
    def _told(member: Member) -> dict[str, Any]:
        from release_pipelines.core.model.base import to_json

        verdict = to_json(member.verdict) if member.verdict else None
        return {"app": member.target.app, "verdict": verdict, "samples": [to_json(it) for it in member.samples]}
