"""Who may write, from the Lease as it was read (R2)."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from release_pipelines.adapters.kubernetes.annotations import FENCE
from release_pipelines.adapters.kubernetes.client import LEASES
from release_pipelines.adapters.platforms.kubernetes.leases import refuse_others
from release_pipelines.adapters.platforms.kubernetes.manifests import lease_time
from release_pipelines.core.errors import FenceLost, LeaseHeld
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.progression.heartbeat import wait_for_lease
from tests.adapters.platforms.kubernetes.memory import MemoryClient, kubernetes
from tests.adapters.platforms.kubernetes.test_ownership import target as shop
from tests.fakes import target


def lease(holder: str | None, fence: int) -> dict[str, Any]:
    spec = {"renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 60}
    return {
        "metadata": {"annotations": {FENCE: str(fence)}},
        "spec": {**spec, **({"holderIdentity": holder} if holder else {})},
    }


def test_its_holder_may_write() -> None:
    refuse_others(lease("shop/run", 3), target(), 3)


@pytest.mark.parametrize(
    ("found", "why"),
    [(lease("shop/newer", 4), "taken over by shop/newer"), (lease(None, 3), "has been given back")],
    ids=["newer", "given_back"],
)
def test_who_lost_the_lease_or_gave_it_back_may_not(found: dict[str, Any], why: str) -> None:
    with pytest.raises(FenceLost, match=why):
        refuse_others(found, target(), 3)


def by_another_clock(client: MemoryClient, seconds: int, skew: float) -> None:
    """Its holder renews the lease; its clock goes wrong."""
    spec = {"holderIdentity": "other", "renewTime": lease_time(time.time() + skew), "leaseDurationSeconds": seconds}
    client.add(LEASES, {"metadata": {"name": "release-shop", "annotations": {FENCE: "3"}}, "spec": spec})


@pytest.mark.parametrize("skew", [-600.0, 600.0], ids=["behind", "ahead"])
async def test_a_lease_is_judged_by_our_own_clock_and_not_by_its_holders(skew: float) -> None:  # R2
    client = MemoryClient(gateway__networking__k8s__io=["v1"])
    by_another_clock(client, 1, skew)
    platform = kubernetes(client)
    for _ in range(3):
        with pytest.raises(LeaseHeld, match=r"held by other, until it has not been renewed for 1 s"):
            await platform.take_lease(shop(), "release", 60)
        await asyncio.sleep(0.5)
        by_another_clock(client, 1, skew)
    with pytest.raises(LeaseHeld):
        await platform.take_lease(shop(), "release", 60)
    await asyncio.sleep(1.05)
    assert (await platform.take_lease(shop(), "release", 60)).fence == 4


@pytest.mark.parametrize("skew", [-600.0, 600.0], ids=["behind", "ahead"])
async def test_who_has_watched_a_lease_for_its_time_may_take_it_unless_it_was_renewed(skew: float) -> None:  # R2
    client = MemoryClient(gateway__networking__k8s__io=["v1"])
    by_another_clock(client, 1, skew)
    platform = kubernetes(client)
    said = await wait_for_lease(platform, shop())
    watched = Lease.model_validate(json.loads(json.dumps(said["expired"])))
    fresh = kubernetes(client)  # the task goes on in another process
    assert (await fresh.take_lease(shop(), "release", 60, expired=watched)).holder == "release"
    by_another_clock(client, 60, skew)
    with pytest.raises(LeaseHeld):
        await fresh.take_lease(shop(), "another", 60, expired=watched)
