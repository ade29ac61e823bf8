"""Who may write, from the Lease as it was read (R2)."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.adapters.kubernetes.annotations import FENCE
from release_pipelines.adapters.platforms.kubernetes.leases import refuse_others
from release_pipelines.core.errors import FenceLost
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
