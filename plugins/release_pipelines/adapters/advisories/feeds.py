"""Which flaws are exploited (KEV), and how likely others will be (EPSS): from a file, a folder or an address, as plain mappings."""

from __future__ import annotations

import csv
import gzip
import json
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from release_pipelines.adapters.advisories.records import moment
from release_pipelines.adapters.advisories.sources import Data, NoData, Place, found
from release_pipelines.core.text import one_line

MOST_BYTES = 500_000_000
"""Maximum length of a feed, unpacked, in bytes."""
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class KnownExploited:
    """The list of known exploited vulnerabilities.

    :param since: names of CVE to the days on which they were added, like ``2024-05-01``.
    :param data: where it is from, and how old it is.
    """

    since: Mapping[str, str] = field(repr=False)
    data: Data


@dataclass(frozen=True)
class Scores:
    """Probabilities that vulnerabilities are exploited within 30 days.

    :param chances: names of CVE to numbers from 0 to 1.
    :param data: where they are from, and how old they are.
    """

    chances: Mapping[str, float] = field(repr=False)
    data: Data


def known_exploited(where: str, copies: Path) -> KnownExploited:
    """The list as CISA publishes it, as JSON.

    :param where: a file, a folder (the last one by name counts), or an address.
    :param copies: folder of the copies of what was fetched.
    :raises NoData: when it is something else, or empty.
    """
    place = found(where, copies)
    text = _text(place, "*.json*")
    try:
        tree = json.loads(text)
        since = {str(it["cveID"]).strip().upper(): str(it.get("dateAdded", "")) for it in tree["vulnerabilities"]}
        at = _moment(lambda: tree["dateReleased"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NoData(
            f"{place.shown} is no list of known exploited vulnerabilities: JSON with `vulnerabilities` is expected"
        ) from None
    if not since:
        raise NoData(f"{place.shown} names no known exploited vulnerability")
    return KnownExploited(since, Data(place.shown, len(since), at, place.file_at, place.note))


def exploit_scores(where: str, copies: Path) -> Scores:
    """The scores as FIRST publishes them: CSV, also packed by gzip, with a line ``#model_version:…,score_date:…`` before its header.

    :param where: a file, a folder (the last one by name counts), or an address.
    :param copies: folder of the copies of what was fetched.
    :raises NoData: when it is something else, or empty.
    """
    place = found(where, copies)
    lines = _text(place, "*.csv*").splitlines()
    stated = dict(part.partition(":")[::2] for it in lines[:5] if it.startswith("#") for part in it[1:].split(","))
    rows = csv.DictReader(it for it in lines if not it.startswith("#"))
    try:
        chances = {row["cve"].strip().upper(): _chance(row["epss"]) for row in rows}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NoData(
            f"{place.shown} are no scores of EPSS: CSV with the columns `cve` and `epss` (0 to 1) is expected"
        ) from None
    if not chances:
        raise NoData(f"{place.shown} has no score")
    at = _moment(lambda: stated["score_date"])
    return Scores(chances, Data(place.shown, len(chances), at, place.file_at, place.note))


def _text(place: Place, pattern: str) -> str:
    """The file's text, unpacked where it is packed."""
    path = place.path
    if path.is_dir():
        path = max(path.glob(pattern), key=lambda it: it.name, default=path)
        if path.is_dir():
            raise NoData(f"{place.shown} has no file {pattern}")
    try:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP
        with gzip.open(path) if packed else path.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise NoData(f"{place.shown} cannot be read to its end: {one_line(error, 200)}") from None
    if len(content) > MOST_BYTES:
        raise NoData(f"{place.shown} has more than {MOST_BYTES:,} bytes")
    return content.decode("utf-8-sig", errors="replace")


def _chance(text: str) -> float:
    chance = float(text)
    if not (math.isfinite(chance) and 0 <= chance <= 1):
        raise ValueError(text)
    return chance


def _moment(stated: Callable[[], object]) -> float | None:
    """When a feed says that it was made; None where it does not."""
    try:
        text = str(stated())
        plus = text[-5:-4]  # EPSS has times like 2026-11-26T00:00:00+0000
        return moment(
            f"{text[:-2]}:{text[-2:]}" if plus in ("+", "-") and "T" in text and ":" not in text[-5:] else text
        )
    except (KeyError, ValueError, TypeError):
        return None
