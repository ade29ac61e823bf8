"""A command of the team's own, run beside the app while the version goes on being judged."""

from __future__ import annotations

from typing import Any

from release_pipelines.airflow.triggers import PlatformTrigger, first_of
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.ports.platform import Platform
from release_pipelines.core.progression.commands import Steering
from release_pipelines.core.progression.watch import Watch, meanwhile


class CheckTrigger(PlatformTrigger):
    """Run a command until it ends, somebody aborts the release, or the version turns bad. A restart runs it again.

    :param target: the app in its environment.
    :param release: the release's id.
    :param image: reference of the image that it runs in.
    :param command: the command and its arguments.
    :param env: its environment.
    :param timeout: seconds that it may take.
    :param artifact: what is judged meanwhile; with ``fence``, ``stage`` (whose traffic it has) and ``previous`` as for
        :class:`~release_pipelines.features.stage.triggers.StageTrigger`. None: nothing is.

    Event: ``{"output": its end}``, ``{"verdict", "samples", "notes", "aborted"}`` of a version that turned bad or was aborted,
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
        )
        self.release = release
        self.image = image
        self.command = command
        self.env = env
        self.timeout = timeout
        self.fence = fence
        self.artifact = Artifact.model_validate(artifact) if artifact else None
        self.stage = Stage.model_validate(stage) if stage else None
        self.previous = Artifact.model_validate(previous) if previous else None

    async def watch(self, platform: Platform) -> dict[str, Any]:
        on = None
        if self.stage and self.artifact:
            on = Watch(platform, self.target, self.release, self.artifact, self.fence, self.stage, self.previous)

        async def run() -> dict[str, Any]:
            return {"output": await platform.run(self.target, self.image, self.command, self.env, self.timeout)}

        return await first_of(run(), meanwhile(on, Steering(self.release)))
