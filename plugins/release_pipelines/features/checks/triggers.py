"""The trigger of a check: a command of the team's own, run beside the app while the version goes on being judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.triggers import PlatformTrigger, release_context
from release_pipelines.core.model.stage import Stage

if TYPE_CHECKING:
    from release_pipelines.core.ports.platform import Platform


class CheckTrigger(PlatformTrigger):
    """Run a command until it ends, somebody aborts the release, or the version turns bad. A restart runs it again.

    :param target: the app in its environment.
    :param release: the release's id.
    :param image: reference of the image that it runs in.
    :param command: the command and its arguments.
    :param env: its environment variables.
    :param timeout: seconds that it may take.
    :param artifact: the version that is judged meanwhile; with ``fence``, ``stage`` (whose traffic it has) and ``previous`` as for
        :class:`~release_pipelines.features.stage.triggers.StageTrigger`. None: none is.

    Event: ``{"output": the end of its output}``, ``{"verdict", "samples", "notes", "aborted"}`` of a version that turned bad or was aborted,
    ``{"aborted": {"by", "reason"}}``, or ``{"error": sentence}`` when it did not end with 0.
    """

    def __init__(
        self,
        *,
        target: dict[str, Any],
        release: str,
        image: str,
        command: list[str],
        env: dict[str, str],
        timeout: float,
        artifact: dict[str, Any] | None = None,
        fence: int = 0,
        stage: dict[str, Any] | None = None,
        previous: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(
            target=target,
            release=release,
            image=image,
            command=command,
            env=env,
            timeout=timeout,
            artifact=artifact,
            fence=fence,
            stage=stage,
            previous=previous,
            **more,
        )

    async def watch(self, platform: Platform) -> dict[str, Any]:
        from release_pipelines.airflow.commands import commands_of
        from release_pipelines.core.progression.meanwhile import judge_meanwhile
        from release_pipelines.core.progression.waiting import first_of
        from release_pipelines.core.progression.watch import StageWatch

        arguments, watch = self.arguments, None
        if arguments["stage"] and arguments["artifact"]:
            watch = StageWatch(release_context(platform, arguments), Stage.model_validate(arguments["stage"]))

        async def run() -> dict[str, Any]:
            output = await platform.run(
                self.target, arguments["image"], arguments["command"], arguments["env"], arguments["timeout"]
            )
            return {"output": output}

        return await first_of(run(), judge_meanwhile(watch, commands_of(arguments["release"])))
