"""A calendar is fetched from where it is kept: by HTTP, or as a document of AWS. Only tasks do so, never whoever asks a calendar."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from release_pipelines.adapters.calendars.lines import MOST_BYTES, calendars_in
from release_pipelines.adapters.outbound import certificates
from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.text import one_line

if TYPE_CHECKING:
    import requests

CONNECT_SECONDS, READ_SECONDS = 5.0, 10.0
TOTAL_SECONDS = 60.0
"""Maximum time for a whole calendar, in seconds."""
MOST_REDIRECTS = 5
ACCEPT = "text/calendar, */*;q=0.5"
_STAMPS = re.compile(r"^DTSTAMP[:;].*\n", re.MULTILINE)


class NotFetched(ReleaseError):
    """A calendar could not be fetched, or what came is none. The sentence has no full stop, and neither credentials nor the address' path."""


class Fetched(NamedTuple):
    """A whole calendar. ``etag`` and ``modified`` are what the server said of this state of it."""

    content: str
    etag: str | None = None
    modified: str | None = None


def fetch(
    url: str, headers: Mapping[str, str], known: Mapping[str, str | None], most_bytes: int = MOST_BYTES
) -> Fetched | None:
    """The calendar at an address; None where it is still the one that is known.

    Redirects are followed, and to another server without the headers.

    :param url: of http or https, without credentials.
    :param headers: with the credentials.
    :param known: ``etag`` and ``modified`` of the state that is known; empty: none is.
    :raises NotFetched: with a sentence.
    """
    asked = {"If-None-Match": known.get("etag"), "If-Modified-Since": known.get("modified")}
    conditions = {name: value for name, value in asked.items() if value}
    end = time.monotonic() + TOTAL_SECONDS
    here, ours = url, dict(headers)
    for _ in range(MOST_REDIRECTS + 1):
        with _answer(here, {"Accept": ACCEPT, **ours, **conditions}) as answer:
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
            content = _whole(answer, here, end, most_bytes)
            return Fetched(usable(content), answer.headers.get("ETag"), answer.headers.get("Last-Modified"))
    raise NotFetched(f"{server(url)} redirects more than {MOST_REDIRECTS} times")


def change_calendar(client: Any, document: str) -> Fetched:
    """An AWS Change Calendar.

    :param client: boto3's client of Systems Manager.
    :param document: its name or ARN.
    :raises NotFetched: with a sentence.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = client.get_document(Name=document)
    except ClientError as error:
        said = error.response.get("Error", {})
        words = f"{one_line(said.get('Code'))}, {one_line(said.get('Message'))}"
        raise NotFetched(f"AWS Systems Manager refuses get_document of {document}: {words}") from None
    except (BotoCoreError, OSError, ValueError) as error:
        raise NotFetched(f"AWS Systems Manager cannot be asked: {one_line(error)}") from None
    if (kind := answer.get("DocumentType")) != "ChangeCalendar":
        raise NotFetched(f"a document of type ChangeCalendar is expected, found {document} of type {one_line(kind)}")
    return Fetched(usable(str(answer.get("Content") or "")))


def usable(content: str | bytes) -> str:
    """The text of a calendar that is whole.

    :raises NotFetched: when it is no calendar, or a part is missing.
    """
    from release_pipelines.adapters.calendars.lines import NoCalendar

    try:
        calendars_in(content)
    except NoCalendar as error:
        raise NotFetched(str(error)) from None
    text = content.decode("utf-8-sig", errors="replace") if isinstance(content, bytes) else content
    return re.sub(r"\r\n?", "\n", text)


def same(one: str, other: str) -> bool:
    """Whether two texts are one state of a calendar. Many servers write the time of each answer into every event as its DTSTAMP."""
    return _STAMPS.sub("", one) == _STAMPS.sub("", other)


def events_in(content: str) -> int:
    """How many events a whole calendar has."""
    return sum(len(it.parts("VEVENT")) for it in calendars_in(content))


def fingerprint(url: str) -> str:
    """What tells two addresses apart without saying what they are."""
    return hashlib.sha256(url.encode()).hexdigest()


def server(url: str) -> str:
    """The server of an address, for sentences: its path may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@contextmanager
def _answer(url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
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
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                verify=trusted[1] if trusted else True,
            )
            with answer:
                yield answer
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        raise NotFetched(f"{server(url)} did not answer, or not to the end ({type(error).__name__})") from None


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No credentials but ours: requests would take those of ~/.netrc instead."""
    return request


def _whole(answer: requests.Response, url: str, end: float, most_bytes: int) -> bytes:
    body = bytearray()
    while piece := answer.raw.read1(16_384, decode_content=True):  # what is there: others wait until that much is
        body += piece
        if len(body) > most_bytes:
            raise NotFetched(f"{server(url)} has a calendar of more than {most_bytes:,} bytes")
        if time.monotonic() > end:
            raise NotFetched(f"{server(url)} did not send all of it within {TOTAL_SECONDS:.0f} s")
    return bytes(body)


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
