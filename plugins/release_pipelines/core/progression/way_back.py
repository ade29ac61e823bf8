"""The way back: all traffic to stable in one write of the route, or, where that cannot be written, past the route."""

from __future__ import annotations

from release_pipelines.core.errors import PlatformUnavailable
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from release_pipelines.core.ports.platform import Platform

DIVERTED = "requests for the tracks beside stable reach stable's replicas all the same, by their Services"
"""Said where the second way is open."""


async def give_back(platform: Platform, target: Target, note: RouteNote, fence: int) -> None:
    """Give all traffic to stable.

    :raises PlatformUnavailable: when the route cannot be written; the sentence says whether requests reach stable all the same.
    """
    try:
        await platform.split(target, ALL_TO_STABLE, note, fence)
    except PlatformUnavailable as error:
        if await platform.divert(target, fence):
            raise PlatformUnavailable(f"{str(error).rstrip('.')}; {DIVERTED}.") from error
        raise
