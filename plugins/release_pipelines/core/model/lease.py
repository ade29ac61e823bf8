"""Who may change an app in an environment."""

from __future__ import annotations

from release_pipelines.core.model.base import Value


class Lease(Value):
    """Who may change an app in an environment (R2)."""

    holder: str
    fence: int
    expires_at: float


LEASE_SECONDS = 120.0
