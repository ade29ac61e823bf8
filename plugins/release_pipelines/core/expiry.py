"""When somebody else's lease is over, by our own clock."""

from __future__ import annotations

import time

from release_pipelines.core.model.lease import Lease


class LeaseWatch:
    """Watches leases whose ends were written by other machines' clocks, which may be wrong by minutes.

    Such a lease is over when it has not changed for as long as it lasts, as seen from here: whoever is alive renews it. One that a
    single clock judges (:attr:`Lease.seconds` is None) is over when it says so.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Lease, float]] = {}

    def over(self, lease: Lease) -> bool:
        """Whether it is, as far as has been seen so far; the first look at a lease only begins to watch it."""
        if lease.seconds is None:
            return lease.expires_at <= time.time()
        now = time.monotonic()
        seen, since = self._seen.get(lease.holder, (None, now))
        if seen != lease:
            since = now
        self._seen[lease.holder] = (lease, since)
        return now - since >= lease.seconds
