"""HTTP requests to the address where an environment's traffic enters, like anybody's."""

from __future__ import annotations

import asyncio

from release_pipelines.core.model.observation import Answer
from release_pipelines.core.model.target import Target

TIMEOUT = 5.0
"""Maximum time for an answer, in seconds."""


async def ask(target: Target, path: str) -> Answer | None:
    """GET ``path`` through the environment's proxy, over a new connection; None if there is no answer.

    :param target: the app in its environment.
    :param path: like ``/``.
    """
    import aiohttp

    from release_pipelines.adapters.outbound import certificates, proxy_of, trusting

    url, named = target.address(path), certificates()
    session = aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=TIMEOUT), connector=aiohttp.TCPConnector(force_close=True)
    )
    try:
        async with (
            session,
            session.get(
                url,
                headers=host_header(target),
                allow_redirects=False,
                proxy=proxy_of(url),
                ssl=trusting(named[1]) if named and url.startswith("https") else True,
            ) as response,
        ):
            return Answer(status=response.status, version=response.headers.get(target.version_header))
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError):
        return None


def host_header(target: Target) -> dict[str, str]:
    """The header that selects the app, where the address alone does not."""
    return {"Host": target.host} if target.host else {}
