"""The trigger of a strategy's stage."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.triggers import PlatformTrigger, release_context
from release_pipelines.core.model.stage import Stage

if TYPE_CHECKING:
    from release_pipelines.core.ports.platform import Platform
    from release_pipelines.core.progression.stage import StageProgression

BEGIN_SECONDS = 5.0
"""Maximum time that the task takes to begin the stage itself, in seconds; what takes longer is the trigger's."""


class StageTrigger(PlatformTrigger):
    """Bring the new version to its capacity, give it its traffic, and judge it until the stage has a verdict.

    People change its course with the commands in the history.

    :param target: the app in its environment.
    :param release: the release's id.
    :param artifact: the new version.
    :param fence: the fence of the release's lease.
    :param stage: the :class:`~release_pipelines.core.model.stage.Stage` as a dict.
    :param replicas: replicas that the track needs for its traffic; ignored on stable, which keeps its own.
    :param previous: the old version: stable gets it back where the new one is put on stable itself, and a baseline runs it.
    :param calls_people: a way back that does not get through for some seconds ends this, so that the task can call people.
    :param tell_at: when a stage that waits for a person ends this, as Unix time in seconds, so that the task can tell people; None: never.
    :param stable_replicas: replicas that stable had before the release; None: as many as are wanted there.
    :param window: the :class:`~release_pipelines.core.model.window.WindowRule` that the release keeps to, as a dict; None: to none.

    Event: ``{"verdict": Verdict, "samples": [Sample], "notes": [sentence], "aborted": {"by", "reason"} or null}``, or
    ``{"error", "kind": "TrafficStuck"}``, or ``{"waits": sentence, "notes"}`` for a stage that waits for a person, or ``{"hurried": who}`` for a stage that a person's `promote` made needless.
    """

    def __init__(
        self,
        *,
        target: dict[str, Any],
        release: str,
        artifact: dict[str, Any],
        fence: int,
        stage: dict[str, Any],
        replicas: int,
        previous: dict[str, Any] | None = None,
        calls_people: bool = False,
        tell_at: float | None = None,
        stable_replicas: int | None = None,
        window: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(
            target=target,
            release=release,
            artifact=artifact,
            fence=fence,
            stage=stage,
            replicas=replicas,
            previous=previous,
            calls_people=calls_people,
            tell_at=tell_at,
            stable_replicas=stable_replicas,
            window=window,
            **more,
        )

    async def watch(self, platform: Platform) -> dict[str, Any]:
        return await self._progression(platform).run()

    async def begin(self, platform: Platform) -> None:
        """What the task does before it defers: Airflow needs two seconds until the triggerer has the trigger."""
        from release_pipelines.core.progression.waiting import first_of

        await first_of(self._progression(platform).begin(), asyncio.sleep(BEGIN_SECONDS))

    def _progression(self, platform: Platform) -> StageProgression:
        from release_pipelines.core.progression.stage import StageProgression

        stage = Stage.model_validate(self.arguments["stage"])
        context = release_context(platform, self.arguments)
        replicas, before = self.arguments["replicas"], self.arguments["stable_replicas"]
        return StageProgression(context, stage, replicas, before)
