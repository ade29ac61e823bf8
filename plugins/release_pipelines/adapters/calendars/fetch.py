"""A calendar is fetched from where it is kept: by HTTP, or as a document of AWS. Only tasks do so, never whoever asks a calendar."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple

from release_pipelines.adapters.calendars.lines import MOST_BYTES, calendars_in
from release_pipelines.adapters.outbound import NotFetched as NotFetched
from release_pipelines.adapters.outbound import download
from release_pipelines.core.text import one_line

READ_SECONDS = 10.0
"""Maximum silence of a server, in seconds."""
TOTAL_SECONDS = 60.0
"""Maximum time for a whole calendar, in seconds."""
ACCEPT = "text/calendar, */*;q=0.5"
_STAMPS = re.compile(r"^DTSTAMP[:;].*\n", re.MULTILINE)


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
    body = BytesIO()
    state = download(
        url,
        headers,
        known,
        body,
        what="a calendar",
        accept=ACCEPT,
        most_bytes=most_bytes,
        total_seconds=TOTAL_SECONDS,
        read_seconds=READ_SECONDS,
    )
    return state and Fetched(usable(body.getvalue()), state.etag, state.modified)


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
