"""What is new of what was found, and what is gone, against the version that serves now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from release_pipelines.core.findings.flaws import Flaw, Names, flaws_in, place_of
from release_pipelines.core.model.finding import Finding, ScanResult

Standing = Literal["new", "same", "not compared"]


@dataclass(frozen=True)
class Serving:
    """The version that serves now.

    :param version: its name.
    :param results: names of scanners to what they found in it; empty: nothing of it is kept.
    """

    version: str
    results: Mapping[str, Sequence[ScanResult]]


class Comparison:
    """Flaws of a version against those of another one.

    A flaw in a newer version of the same component is the same flaw. Nothing is new that no scanner looked for before, and nothing is
    gone that its scanner did not look for now.

    :param results: names of scanners to what they found in the version that is judged.
    :param serving: the version that serves; None: there is none.
    """

    def __init__(self, results: Mapping[str, Sequence[ScanResult]], serving: Serving | None) -> None:
        before = serving.results if serving else {}
        found, was = findings_of(results), findings_of(before)
        self.names = Names(it for findings in (*found.values(), *was.values()) for it in findings)
        self.flaws = flaws_in(found, self.names)
        self._before = flaws_in(was, self.names)
        self._looked, self._looked_before = _looked(results), _looked(before)
        self._places = {place for flaw in self._before for place in self._of(flaw)}

    def standing(self, flaw: Flaw) -> Standing:
        """Whether a flaw of the version that is judged is new."""
        if self._places & self._of(flaw):
            return "same"
        return "new" if self._looked_before.issuperset(flaw.scanners) else "not compared"

    @property
    def fixed(self) -> list[Flaw]:
        """The flaws of the version that serves which are gone, the worst first."""
        here = {place for flaw in self.flaws for place in self._of(flaw)}
        return [it for it in self._before if not here & self._of(it) and self._looked.issuperset(it.scanners)]

    def _of(self, flaw: Flaw) -> set[object]:
        return {(self.names.root(flaw.name), *place_of(it, version=False)) for it in flaw.records}


def findings_of(results: Mapping[str, Iterable[ScanResult]]) -> dict[str, list[Finding]]:
    """Names of scanners to all of their findings."""
    return {name: [finding for it in found for finding in it.findings] for name, found in results.items()}


def _looked(results: Mapping[str, Sequence[ScanResult]]) -> set[str]:
    """The scanners that could look at all that they had to."""
    return {name for name, found in results.items() if found and all(it.status != "unknown" for it in found)}
