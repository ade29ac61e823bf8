"""The trigger that keeps a release's lease."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.triggers import PlatformTrigger
from release_pipelines.core.model.lease import Lease

if TYPE_CHECKING:
    from release_pipelines.core.ports.platform import Platform


class HoldLeaseTrigger(PlatformTrigger):
    """Renew the lease until it is given back, and take up commands that nothing else of the release takes up.

    :param target: the app in its environment.
    :param lease: the release's :class:`~release_pipelines.core.model.lease.Lease` as a dict.
    :param ttl: seconds until a lease that is not renewed expires.

    Event: ``{"given_back": true}``, or ``{"taken_by": holder}`` when somebody else took it.
    """

    def __init__(self, *, target: dict[str, Any], lease: dict[str, Any], ttl: float) -> None:
        super().__init__(target=target, lease=lease, ttl=ttl)
        self.lease = Lease.model_validate(lease)
        self.ttl = ttl

    async def watch(self, platform: Platform) -> dict[str, Any]:
        from release_pipelines.airflow.commands import commands_of
        from release_pipelines.core.progression.heartbeat import Heartbeat

        return await Heartbeat(platform, self.target, self.lease, self.ttl, commands_of(self.lease.holder)).run()
