"""How HTTP leaves this machine: by the proxies and the certificates that the environment names, whichever client asks.

And how much of an answer comes in: whatever is at the other end, it does not fill this machine's memory."""

from __future__ import annotations

import logging
import os
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import IO, TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin, urlsplit

from release_pipelines.core.errors import ReleaseError

if TYPE_CHECKING:
    import aiohttp
    import requests

CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name a file of trusted certificates; the first that is set counts."""
PROXIES = tuple(case(f"{it}_proxy") for it in ("http", "https", "all", "no") for case in (str.lower, str.upper))
"""Variables that say by which proxy an address is reached."""

ANSWER_BYTES = 100_000_000
"""Maximum length of an answer that is read as a whole, in bytes."""
EXCERPT_BYTES = 100_000
"""So much of an answer is read that only explains something, in bytes."""
CONNECT_SECONDS, READ_SECONDS = 5.0, 10.0
MOST_REDIRECTS = 5


class NotFetched(ReleaseError):
    """Something could not be fetched, or is not what it should be. The sentence has no full stop, and neither credentials nor the address' path."""


class State(NamedTuple):
    """What a server said of the state of what it sent: its ``ETag`` and ``Last-Modified``."""

    etag: str | None = None
    modified: str | None = None


def download(
    url: str,
    headers: Mapping[str, str],
    known: Mapping[str, str | None],
    into: IO[bytes],
    *,
    what: str,
    accept: str,
    most_bytes: int,
    total_seconds: float,
    read_seconds: float = READ_SECONDS,
) -> State | None:
    """Write what is at an address into a file; None, and nothing is written, where it is still in the state that is known.

    Redirects are followed, and to another server without the headers.

    :param url: of http or https, without credentials.
    :param headers: with the credentials.
    :param known: ``etag`` and ``modified`` of the state that is known; empty: none is.
    :param what: what is fetched, for sentences, like ``a calendar``.
    :param accept: media types that are asked for.
    :param most_bytes: maximum length.
    :param total_seconds: maximum time for all of it.
    :param read_seconds: maximum silence of the server.
    :raises NotFetched: with a sentence.
    """
    asked = {"If-None-Match": known.get("etag"), "If-Modified-Since": known.get("modified")}
    conditions = {name: value for name, value in asked.items() if value}
    end = time.monotonic() + total_seconds
    here, ours = url, dict(headers)
    for _ in range(MOST_REDIRECTS + 1):
        with _answer(here, {"Accept": accept, **ours, **conditions}, read_seconds) as answer:
            if answer.is_redirect:
                there = urljoin(here, answer.headers["Location"])
                if urlsplit(there).scheme not in ("http", "https"):
                    raise NotFetched(f"{server(here)} redirects to something that is no address of http or https")
                ours = ours if _same_server(here, there) else {}
                here = _without_credentials(there)
                continue
            if answer.status_code == 304 and conditions:
                return None
            if answer.status_code != 200:
                raise NotFetched(f"{server(here)} answered with status {answer.status_code}")
            length = 0
            while piece := answer.raw.read1(16_384, decode_content=True):  # what is there: others wait for that much
                length += len(piece)
                if length > most_bytes:
                    raise NotFetched(f"{server(here)} has {what} of more than {most_bytes:,} bytes")
                if time.monotonic() > end:
                    raise NotFetched(f"{server(here)} did not send all of it within {total_seconds:.0f} s")
                into.write(piece)
            return State(answer.headers.get("ETag"), answer.headers.get("Last-Modified"))
    raise NotFetched(f"{server(url)} redirects more than {MOST_REDIRECTS} times")


def server(url: str) -> str:
    """The server of an address, for sentences: its path may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@contextmanager
def _answer(url: str, headers: Mapping[str, str], read_seconds: float) -> Iterator[requests.Response]:
    """The one place where the HTTP client's errors become ours; their words may hold the address."""
    import requests
    from urllib3.exceptions import HTTPError

    logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)  # below that it writes each address into the log
    trusted = certificates()
    try:
        with requests.Session() as session:
            answer = session.get(
                url,
                headers=dict(headers),
                auth=_as_it_is,
                stream=True,
                allow_redirects=False,
                timeout=(CONNECT_SECONDS, read_seconds),
                verify=trusted[1] if trusted else True,
            )
            with answer:
                yield answer
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        raise NotFetched(f"{server(url)} did not answer, or not to the end ({type(error).__name__})") from None


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No credentials but ours: requests would take those of ~/.netrc instead."""
    return request


def _same_server(here: str, there: str) -> bool:
    """Whether credentials may follow: same name, scheme and port, or the same name with https instead of http."""
    old, new = urlsplit(here), urlsplit(there)
    if old.hostname != new.hostname:
        return False
    ports = {"http": 80, "https": 443}
    upgraded = (old.scheme, new.scheme) == ("http", "https") and old.port in (None, 80) and new.port in (None, 443)
    same = old.scheme == new.scheme and (old.port or ports[old.scheme]) == (new.port or ports[new.scheme])
    return same or upgraded


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


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
