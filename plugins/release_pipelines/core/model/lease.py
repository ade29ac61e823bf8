"""The lease of an app in an environment."""

from __future__ import annotations

from release_pipelines.core.model.base import Stored


class Lease(Stored):
    """The right of one holder to change an app in an environment (R2), until ``expires_at`` (Unix time in seconds).

    A platform refuses writes with an older fence.
    """

    holder: str
    fence: int
    expires_at: float


LEASE_SECONDS = 120.0
"""Lifetime of a lease that nobody renews, in seconds."""
