"""What the world knows of flaws: which are exploited (KEV), and how likely others will be (EPSS). By names of CVE."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone


@dataclass(frozen=True)
class KnownExploited:
    """The list of known exploited vulnerabilities.

    :param since: names to the days on which they were added, in words.
    :param data_at: when the list was made, as Unix time in seconds; None: it does not say.
    """

    since: Mapping[str, str] = field(default_factory=dict)
    data_at: float | None = None

    def named(self, names: Iterable[str]) -> str | None:
        """The first of a flaw's names that it has."""
        return next((it for it in sorted(names) if it in self.since), None)


@dataclass(frozen=True)
class Scores:
    """Probabilities that vulnerabilities are exploited within 30 days.

    :param chances: names to numbers from 0 to 1.
    :param data_at: when they were computed, as Unix time in seconds; None: they do not say.
    """

    chances: Mapping[str, float] = field(default_factory=dict)
    data_at: float | None = None

    def highest(self, names: Iterable[str]) -> float | None:
        """The highest of a flaw's names; None where it has none of them."""
        return max((self.chances[it] for it in names if it in self.chances), default=None)


def known_exploited_in(text: str) -> KnownExploited:
    """The list as CISA publishes it, as JSON.

    :raises ValueError: one sentence, when it is something else, or empty.
    """
    try:
        catalogue = json.loads(text)
        since = {str(it["cveID"]).strip().upper(): str(it.get("dateAdded", "")) for it in catalogue["vulnerabilities"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            "The list of known exploited vulnerabilities is none: JSON with `vulnerabilities` is expected."
        ) from None
    if not since:
        raise ValueError("The list of known exploited vulnerabilities is empty.")
    return KnownExploited(since, _moment(catalogue.get("dateReleased")))


def scores_in(text: str) -> Scores:
    """The scores as FIRST publishes them: a line with ``score_date``, the names of the columns, and a line for each vulnerability.

    :raises ValueError: one sentence, when they are something else, or none.
    """
    lines = text.splitlines()
    head = [it for it in lines[:5] if it.startswith("#")]
    rows = [it.split(",") for it in lines if it.strip() and not it.startswith("#")]
    try:
        name, chance = rows[0].index("cve"), rows[0].index("epss")
        chances = {row[name].strip().upper(): float(row[chance]) for row in rows[1:]}
    except (ValueError, IndexError):
        raise ValueError("The scores of EPSS are none: CSV with the columns `cve` and `epss` is expected.") from None
    if not chances:
        raise ValueError("The scores of EPSS are empty.")
    stated = dict(it.partition(":")[::2] for line in head for it in line.lstrip("#").split(","))
    return Scores(chances, _moment(stated.get("score_date")))


def _moment(text: str | None) -> float | None:
    try:
        at = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S") if text else None
    except ValueError:
        return None
    return at.replace(tzinfo=timezone.utc).timestamp() if at else None
