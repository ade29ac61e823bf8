"""The trigger that keeps a release's lease."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.triggers import PlatformTrigger, release_context
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.stage import Stage

if TYPE_CHECKING:
    from release_pipelines.core.ports.platform import Platform
    from release_pipelines.core.progression.stand_in import StandIn


class HoldLeaseTrigger(PlatformTrigger):
    """Renew the lease until it is given back, and take up commands that nothing else of the release takes up.

    :param target: the app in its environment.
    :param lease: the release's :class:`~release_pipelines.core.model.lease.Lease` as a dict.
    :param ttl: seconds until a lease that is not renewed expires.
    :param artifact: the new version as a dict; None: it is not judged here.
    :param stages: the release's judged stages as dicts: whoever has traffic in one of them is judged, also where no task does it.

    Event: ``{"given_back": true}``, or ``{"taken_by": holder}`` when somebody else took it.
    """

    def __init__(
        self,
        *,
        target: dict[str, Any],
        lease: dict[str, Any],
        ttl: float,
        artifact: dict[str, Any] | None = None,
        stages: Sequence[dict[str, Any]] = (),
        **more: Any,
    ) -> None:
        super().__init__(target=target, lease=lease, ttl=ttl, artifact=artifact, stages=list(stages), **more)
        self.lease = Lease.model_validate(lease)
        self.ttl = ttl

    async def watch(self, platform: Platform) -> dict[str, Any]:
        from release_pipelines.airflow.commands import commands_of
        from release_pipelines.core.progression.heartbeat import Heartbeat

        commands = commands_of(self.lease.holder)
        return await Heartbeat(
            platform, self.target, self.lease, self.ttl, commands, await self._stand_in(platform)
        ).run()

    async def _stand_in(self, platform: Platform) -> StandIn | None:
        from release_pipelines.core.progression.stand_in import StandIn
        from release_pipelines.core.progression.waiting import insist

        if not self.arguments["artifact"] or not self.arguments["stages"]:
            return None
        # What a rolling release goes back to: what held last.
        good = (await insist(lambda: platform.observe(self.target))).note.last_good
        previous = to_json(good) if good else None
        release = {"release": self.lease.holder, "fence": self.lease.fence, "previous": previous}
        stages = [Stage.model_validate(it) for it in self.arguments["stages"]]
        return StandIn(release_context(platform, {**self.arguments, **release}), {it.name: it for it in stages})
