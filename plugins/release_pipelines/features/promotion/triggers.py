"""The trigger of a promotion."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.triggers import PlatformTrigger, release_context
from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.stage import OnDrift
from release_pipelines.core.model.track import Track

if TYPE_CHECKING:
    from release_pipelines.core.ports.platform import Platform


class PromoteTrigger(PlatformTrigger):
    """Keep the old version for a while, roll stable to the new one, give it the traffic, remove the judged track.

    If the version held on stable itself (rolling, and every first release) only the note on the route changes. A person may
    pause it between two changes, and abort it: stable then gets the old version back.

    :param target: the app in its environment.
    :param release: the release's id.
    :param artifact: the version that passed all stages.
    :param fence: the fence of the release's lease.
    :param track: the track that it was judged on.
    :param return_weights: falling weights of that track while its traffic goes to stable, in percent; 0 is added last.
    :param keep_old: seconds, from the end of the bake, that the old version keeps running on stable.
    :param retire_after: seconds that the track keeps running after it lost its traffic (R15).
    :param return_hold: seconds that stable is watched after each of these weights.
    :param analysis: how stable is judged meanwhile, an :class:`~release_pipelines.core.model.analysis.Analysis` as a dict; None:
        by its replicas only.
    :param on_drift: ``reassert`` or ``abort``: what to do when somebody else puts something else on stable (R14).
    :param previous: the old version, which stable gets back if a person aborts while stable is being changed.
    :param window: the :class:`~release_pipelines.core.model.window.WindowRule` that the release keeps to, as a dict; None: to none.

    Event: ``{"promoted": true}``; ``{"failure": sentence}``: stable did not take the version or did not stay ready, and the
    healthy track has the traffic; ``{"aborted": {"by", "reason"}}``. Each with ``notes`` where stable was set again.
    """

    def __init__(
        self,
        *,
        target: dict[str, Any],
        release: str,
        artifact: dict[str, Any],
        fence: int,
        track: Track,
        return_weights: list[int],
        keep_old: float,
        retire_after: float,
        previous: dict[str, Any] | None = None,
        return_hold: float = 0.0,
        analysis: dict[str, Any] | None = None,
        on_drift: OnDrift = "reassert",
        window: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(
            target=target,
            release=release,
            artifact=artifact,
            fence=fence,
            track=track,
            return_weights=return_weights,
            keep_old=keep_old,
            retire_after=retire_after,
            previous=previous,
            return_hold=return_hold,
            analysis=analysis,
            on_drift=on_drift,
            window=window,
            **more,
        )

    async def watch(self, platform: Platform) -> dict[str, Any]:
        from release_pipelines.airflow.notes import note_run
        from release_pipelines.core.progression.promotion import Promotion

        arguments = self.arguments
        # Beside the promotion, which shall not wait for it.
        self._noting = asyncio.create_task(
            note_run(arguments["release"], "The new version held: stable takes it over.")
        )
        analysis = arguments["analysis"]
        return await Promotion(
            release_context(platform, arguments),
            arguments["track"],
            arguments["return_weights"],
            arguments["keep_old"],
            arguments["retire_after"],
            return_hold=arguments["return_hold"],
            analysis=Analysis.model_validate(analysis) if analysis else None,
            on_drift=arguments["on_drift"],
        ).run()
