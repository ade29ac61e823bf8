"""The lease of an app in an environment."""

from pydantic import Field

from release_pipelines.core.model.base import Stored


class Lease(Stored):
    """The right of one holder to change an app in an environment (R2), until ``expires_at`` (Unix time in seconds).

    A platform refuses writes with an older fence. ``expires_at`` is by the clock of whoever wrote it.
    """

    holder: str
    fence: int
    expires_at: float
    seconds: float | None = Field(
        None,
        description="How long it lasts, where any machine's clock may have written its end: it is over when it has not "
        "changed for so long. None: one clock writes and judges all ends",
    )


LEASE_SECONDS = 120.0
"""Lifetime of a lease that nobody renews, in seconds."""
