"""What stages of a team's own wait for. The version goes on being judged meanwhile, and a person can abort."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from release_pipelines.airflow.secrets import secret_values, without_secrets
from release_pipelines.airflow.triggers import error_event, release_context, with_platform
from release_pipelines.core.errors import AddressUnclear, CommandEnded, PlatformError
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.own_stage import OwnStageResult
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import Target
from release_pipelines.core.text import storable

if TYPE_CHECKING:
    from release_pipelines.core.ports.platform import Platform

GRACE_SECONDS = 30.0
"""So much longer than it may take it is waited for, in seconds: it ends by itself, and says more."""
DAG_LOOK_SECONDS = 5.0
"""Pause between two looks at a run of another DAG, in seconds."""


class OwnStageTrigger(BaseTrigger):
    """Base: a subclass writes :meth:`work`. A restart of the triggerer begins it anew, with what is left of ``until``.

    Arguments are JSON and kept. Where the version has traffic it goes on being judged: a failing verdict takes the traffic back at once.

    :param release: the release's id.
    :param until: Unix time in seconds at which it has taken too long.
    :param target: the app in its environment; None: nothing is asked of a platform, and nothing judged.
    :param artifact: the version that is judged meanwhile; with ``fence``, ``stage`` (whose traffic it has) and ``previous`` as for
        :class:`~release_pipelines.features.stage.triggers.StageTrigger`.

    Event: what :meth:`work` returns; ``{"verdict", "samples", "notes", "aborted"}`` of a version that turned bad or was aborted,
    ``{"aborted": {"by", "reason"}}``, or ``{"error": sentence}`` where it could not be run.
    """

    needs_platform = False
    """Whether :meth:`work` asks the platform."""

    def __init__(self, *, release: str, until: float, target: dict[str, Any] | None = None, **arguments: Any) -> None:
        super().__init__()
        self.arguments = {"release": release, "until": until, "target": target, "previous": None, **arguments}
        self.until = until
        self.target = Target.model_validate(target) if target else None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, for Airflow."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self.arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Work; yields one event."""
        from release_pipelines.core.progression.waiting import within

        judged = bool(self.arguments.get("stage") and self.arguments.get("artifact"))
        try:
            if self.target is not None and (judged or self.needs_platform):
                work = with_platform(self.target, self._watch)
            else:
                work = self._watch(None)
            event = await within(max(0.0, self.until - time.time()) + GRACE_SECONDS, work)
        except asyncio.TimeoutError:  # where what it works with has not answered all the time
            sentence = "failed: it took longer than it may, and has not even begun or ended"
            event = {"result": to_json(OwnStageResult(succeeded=False, ended=False, sentence=sentence))}
        except PlatformError as error:
            event = error_event(error)
        yield TriggerEvent(storable(event))

    async def _watch(self, platform: Platform | None) -> dict[str, Any]:
        from release_pipelines.airflow.commands import commands_of
        from release_pipelines.core.progression.meanwhile import judge_meanwhile
        from release_pipelines.core.progression.waiting import first_of
        from release_pipelines.core.progression.watch import StageWatch

        arguments, watch = self.arguments, None
        if platform is not None and arguments.get("stage") and arguments.get("artifact"):
            watch = StageWatch(release_context(platform, arguments), Stage.model_validate(arguments["stage"]))
        return await first_of(self.work(platform), judge_meanwhile(watch, commands_of(arguments["release"])))

    async def work(self, platform: Platform | None) -> dict[str, Any]:
        """Work until it has come to something.

        :param platform: where the app runs; None unless :attr:`needs_platform`, or the version is judged.
        :return: ``{"result": OwnStageResult as a dict}``, and ``output`` where there is one; or ``{"error": sentence}``.
        """
        raise NotImplementedError


class ContainerStageTrigger(OwnStageTrigger):
    """Run a command in an image beside the app until it ends.

    :param image: reference of the image.
    :param command: the command and its arguments.
    :param env: its environment variables.
    :param secrets: names of variables to where their values come from: they are read here, and stand in no argument.
    :param exit_codes: those that are no failure.

    Event: ``{"result", "output": the end of its output}``.
    """

    needs_platform = True

    async def work(self, platform: Platform | None) -> dict[str, Any]:
        from release_pipelines.features.own_stages.outputs import container_result

        assert platform is not None  # noqa: S101 - it needs one
        assert self.target is not None  # noqa: S101 - and so a target
        arguments = self.arguments
        try:
            secrets = await asyncio.to_thread(secret_values, arguments["secrets"])
        except PlatformError as error:
            return error_event(error)
        left = max(1.0, self.until - time.time())
        try:
            printed = await platform.run(
                self.target, arguments["image"], arguments["command"], {**arguments["env"], **secrets}, left
            )
            code: int | None = 0
        except CommandEnded as error:
            printed, code = error.output, error.exit_code
        output = without_secrets(printed, secrets)
        result = container_result(output, code, arguments["exit_codes"], left)
        return {"result": result, "output": output}


class HttpStageTrigger(OwnStageTrigger):
    """Ask again and again until the answer is as expected.

    :param url: where; None: at the connection of the options.
    :param headers: of the questions; without credentials, which are read here.
    :param options: :class:`~release_pipelines.features.own_stages.kinds.http.HttpOptions` as a dict.

    Event: ``{"result", "output": the last answer's text}``.
    """

    async def work(self, platform: Platform | None) -> dict[str, Any]:
        from release_pipelines.features.own_stages.asking import ask_until

        url, headers, options = (self.arguments[name] for name in ("url", "headers", "options"))
        if url is None:
            try:
                url, headers = await _of_connection(options["connection"], options["path"])
            except AddressUnclear as error:
                return {"error": str(error), "kind": type(error).__name__}
            except AirflowNotFoundException:
                sentence = f"Airflow has no connection {options['connection']}."
                return {"error": sentence, "kind": "AirflowNotFoundException"}
        return await ask_until(url, headers, options, self.until)


async def _of_connection(name: str, path: str) -> tuple[str, dict[str, str]]:
    """Address and headers, with the credentials, of a path at a connection's own host."""
    from airflow.sdk import BaseHook

    from release_pipelines.airflow.connections import values_of
    from release_pipelines.core.address import request_headers, web_address

    connection = values_of(await BaseHook.aget_connection(name))
    return web_address(connection).rstrip("/") + path, request_headers(connection)


class DagStageTrigger(OwnStageTrigger):
    """Wait for the end of a run.

    :param dag_id: the DAG.
    :param run_id: the run.

    Event: ``{"result"}``.
    """

    async def work(self, platform: Platform | None) -> dict[str, Any]:
        from release_pipelines.airflow import runs

        dag_id, run_id = self.arguments["dag_id"], self.arguments["run_id"]
        while True:
            state = await runs.state_of(dag_id, run_id)
            over = time.time() >= self.until
            if state is None or state in runs.ENDED or over:
                break
            await asyncio.sleep(min(DAG_LOOK_SECONDS, max(0.1, self.until - time.time())))
        if state is None:
            return {"error": f"There is no run {run_id} of {dag_id} any more.", "kind": "ReleaseError"}
        passed = state == "success"
        words = "passed" if passed else "failed" if state == "failed" else f"failed: it took too long and is {state}"
        result = OwnStageResult(
            succeeded=passed,
            ended=state in runs.ENDED,
            sentence=f"{words}: run {run_id} of {dag_id}",
            values={"dag_id": dag_id, "run_id": run_id, "state": state},
        )
        return {"result": to_json(result)}
