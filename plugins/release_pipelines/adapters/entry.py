"""The address where an environment's traffic enters, asked like anybody asks it."""

from __future__ import annotations

import asyncio

from release_pipelines.core.model.observation import Answer
from release_pipelines.core.model.target import Target

TIMEOUT = 5.0


async def ask(target: Target, path: str) -> Answer | None:
    """GET ``path`` through the environment's proxy, over a connection of its own; None when nobody answers.

    :param path: like ``/``.
    """
    import aiohttp

    session = aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=TIMEOUT), connector=aiohttp.TCPConnector(force_close=True)
    )
    try:
        async with (
            session,
            session.get(at(target, path), headers=host(target), allow_redirects=False) as response,
        ):
            return Answer(status=response.status, version=response.headers.get(target.version_header))
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError):
        return None


def at(target: Target, path: str) -> str:
    """The full address of a path."""
    return target.url.rstrip("/") + path


def host(target: Target) -> dict[str, str]:
    """The header that selects the app, where the address alone does not."""
    return {"Host": target.host} if target.host else {}
