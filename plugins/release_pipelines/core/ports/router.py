"""What splits the traffic."""

from __future__ import annotations

from typing import Protocol

from release_pipelines.core.seams import Seam


class Router(Protocol):
    """Says who gets which requests."""


ROUTERS: Seam[Router] = Seam("router", "release_pipelines.adapters.routers")
