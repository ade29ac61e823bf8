"""Advisories in OSV format, matched against components; and the lists of what is exploited."""

from release_pipelines.adapters.advisories.feeds import KnownExploited, Scores, exploit_scores, known_exploited
from release_pipelines.adapters.advisories.matching import Matched, Matcher
from release_pipelines.adapters.advisories.records import in_words
from release_pipelines.adapters.advisories.sources import Data, NoData, default_copies, read_records, shown

__all__ = [
    "Data",
    "KnownExploited",
    "Matched",
    "Matcher",
    "NoData",
    "Scores",
    "default_copies",
    "exploit_scores",
    "in_words",
    "known_exploited",
    "read_records",
    "shown",
]
