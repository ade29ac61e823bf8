"""How HTTP leaves this machine: by the proxies and the certificates that the environment names, whichever client asks.

And how much of an answer comes in: whatever is at the other end, it does not fill this machine's memory."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp

CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name a file of trusted certificates; the first that is set counts."""
PROXIES = tuple(case(f"{it}_proxy") for it in ("http", "https", "all", "no") for case in (str.lower, str.upper))
"""Variables that say by which proxy an address is reached."""

ANSWER_BYTES = 100_000_000
"""Maximum length of an answer that is read as a whole, in bytes."""
EXCERPT_BYTES = 100_000
"""So much of an answer is read that only explains something, in bytes."""


async def whole(response: aiohttp.ClientResponse, limit: int = ANSWER_BYTES) -> bytes:
    """The answer's body.

    :raises aiohttp.ClientPayloadError: when it is longer than ``limit`` bytes.
    """
    import aiohttp

    body = await excerpt(response, limit + 1)
    if len(body) > limit:
        raise aiohttp.ClientPayloadError(f"its answer is longer than {limit:,} bytes")
    return body


async def excerpt(response: aiohttp.ClientResponse, limit: int = EXCERPT_BYTES) -> bytes:
    """The beginning of the answer's body; the connection is closed where there is more."""
    body = bytearray()
    while len(body) < limit:
        piece = await response.content.read(limit - len(body))
        if not piece:
            return bytes(body)
        body += piece
    response.close()
    return bytes(body)


def proxy_of(url: str) -> str | None:
    """The proxy for an address (``HTTP_PROXY``, ``HTTPS_PROXY``, ``NO_PROXY``), by the rules of requests; None: there is none."""
    return _proxy_of(url, tuple(os.environ.get(name) for name in PROXIES))


@lru_cache(maxsize=256)
def _proxy_of(url: str, _: tuple[str | None, ...]) -> str | None:
    """A triggerer asks hundreds of times a second."""
    from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy

    proxy = select_proxy(url, get_environ_proxies(url))
    return prepend_scheme_if_needed(proxy, "http") if proxy else None


def certificates() -> tuple[str, str] | None:
    """The variable that names a file of trusted certificates, and the file; None: what the system trusts."""
    return next(((name, path) for name in CERTIFICATES if (path := os.environ.get(name))), None)


def trusting(path: str) -> ssl.SSLContext:
    """What trusts the certificates of a file or folder.

    :raises OSError: where there are none.
    """
    return _trusting(path, os.stat(path).st_mtime_ns)


@lru_cache(maxsize=8)
def _trusting(path: str, _: int) -> ssl.SSLContext:
    """Reading a system's certificates takes a hundredth of a second, and a thousand canaries trust the same ones."""
    if os.path.isdir(path):
        return ssl.create_default_context(capath=path)
    return ssl.create_default_context(cafile=path)
