"""What the world knows of flaws: which are exploited (KEV), and how likely others will be (EPSS). By names of CVE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


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
