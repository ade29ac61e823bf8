"""A stage's version goes on being judged while the release waits for something else: an answer, a command of the team's."""

from __future__ import annotations

import math
import time
from typing import Any

from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.progression.commands import ReleaseCommands, aborted_by, is_abort_verdict
from release_pipelines.core.progression.stand_in import judging
from release_pipelines.core.progression.waiting import insist
from release_pipelines.core.progression.watch import LOOK_SECONDS, StageWatch


async def judge_meanwhile(watch: StageWatch | None, commands: ReleaseCommands) -> dict[str, Any]:
    """Judge until the version fails or a person aborts the release.

    :param watch: the stage whose traffic the version has; None: it has no traffic yet, and only an abort is waited for.
    :param commands: the release's commands.
    :return: the event that has to end the other wait.
    """
    if watch is None:
        command = await commands.abort()
        await commands.answer(command, "Ended the wait; nothing was changed.")
        return {"aborted": aborted_by(command)}
    note = (await insist(watch.observe)).note
    watch = watch.of_note(note)
    if watch is None:
        return await judge_meanwhile(None, commands)
    if note.verdict and note.verdict.judgement == "fail":  # decided before a restart
        abort = (await commands.state()).abort
        return watch.event(note.verdict, abort if is_abort_verdict(note.verdict, abort) else None)
    with judging(watch.context.release):
        return await _judge_on(watch, note, commands)


async def _judge_on(watch: StageWatch, note: RouteNote, commands: ReleaseCommands) -> dict[str, Any]:
    """Judge a stage's version, which has its traffic, until it fails or a person aborts the release.

    :param note: the note on the route.
    :return: the event of the stage.
    """
    checked_at = -math.inf
    while True:
        state = await commands.state()
        if state.abort:
            return await watch.abort(note, state.abort)
        verdict = None
        if time.monotonic() - checked_at >= LOOK_SECONDS:
            checked_at, verdict = time.monotonic(), await watch.check(note)
        verdict = verdict or await watch.judge(note, math.inf, math.inf)
        if verdict:
            return watch.event(await watch.write(note, verdict, give_back=True))
        await commands.wait(min(watch.next_measurement_in(note), LOOK_SECONDS))
