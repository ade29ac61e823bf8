"""The release's heartbeat, and the wait for a busy environment (R2)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from release_pipelines.domain.values import Lease
from release_pipelines.platforms.base import FenceLost, Platform
from release_pipelines.triggers.base import PlatformTrigger

LOOK_SECONDS = 2.0


class HoldLeaseTrigger(PlatformTrigger):
    """Renew the lease until it is given back.

    :param target: the app in its environment.
    :param lease: the :class:`~release_pipelines.domain.values.Lease` that is held, as a dict.
    :param ttl: seconds until a lease that nobody renews expires.

    Event: ``{"given_back": true}``, or ``{"taken_by": holder}`` when somebody else took it.
    """

    def __init__(self, *, target: dict[str, Any], lease: dict[str, Any], ttl: float) -> None:
        super().__init__(target=target, lease=lease, ttl=ttl)
        self.lease = Lease.model_validate(lease)
        self.ttl = ttl

    async def watch(self, platform: Platform) -> dict[str, Any]:
        while True:
            try:
                await self.insist(lambda: platform.renew_lease(self.target, self.lease, self.ttl))
            except FenceLost:
                now = (await self.insist(lambda: platform.observe(self.target))).lease
                if now is None or now.fence == self.lease.fence:
                    return {"given_back": True}
                return {"taken_by": now.holder}
            await asyncio.sleep(LOOK_SECONDS)


class LeaseFreeTrigger(PlatformTrigger):
    """Wait until nobody holds the lease, or the holder let it expire.

    :param target: the app in its environment.

    Event: ``{"free": true}``.
    """

    async def watch(self, platform: Platform) -> dict[str, Any]:
        said = None
        while True:
            lease = (await self.insist(lambda: platform.observe(self.target))).lease
            if lease is None or lease.expires_at <= time.time():
                return {"free": True}
            if lease.holder != said:
                said = lease.holder
                self.log.info("Waiting for %s, which holds %s in %s.", said, self.target.app, self.target.environment)
            await asyncio.sleep(LOOK_SECONDS)
