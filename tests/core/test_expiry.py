"""A lease is over when it has not changed for as long as it lasts, whatever its holder's clock says."""

from __future__ import annotations

import time

import pytest

from release_pipelines.core import expiry
from release_pipelines.core.expiry import LeaseWatch
from release_pipelines.core.model.lease import Lease


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.at = 1000.0

    def monotonic(self) -> float:
        return self.at

    def time(self) -> float:
        return time.time()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(expiry, "time", clock)
    return clock


@pytest.mark.parametrize("skew", [-600.0, 0.0, 600.0], ids=["behind", "right", "ahead"])
def test_a_lease_that_is_renewed_is_never_over_and_one_that_is_not_is_after_its_time(clock: Clock, skew: float) -> None:
    watch = LeaseWatch()
    lease = Lease(holder="shop/run", fence=3, expires_at=time.time() + skew, seconds=60)
    for _ in range(100):  # its holder renews it
        assert not watch.over(lease)
        clock.at += 2
        lease = lease.model_copy(update={"expires_at": lease.expires_at + 2})
    assert not watch.over(lease)
    clock.at += 59
    assert not watch.over(lease)
    clock.at += 1
    assert watch.over(lease)
    assert not watch.over(lease.model_copy(update={"expires_at": lease.expires_at + 2}))


def test_looks_that_are_far_between_count_all_the_time_between(clock: Clock) -> None:
    watch, lease = LeaseWatch(), Lease(holder="shop/run", fence=3, expires_at=0, seconds=60)
    assert not watch.over(lease)
    clock.at += 3600
    assert watch.over(lease)


def test_where_one_clock_writes_and_judges_its_word_counts() -> None:
    assert LeaseWatch().over(Lease(holder="shop/run", fence=3, expires_at=time.time() - 1))
    assert not LeaseWatch().over(Lease(holder="shop/run", fence=3, expires_at=time.time() + 60))
