"""Who says that a flaw may pass: exceptions of the app's file, and statements of VEX documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from release_pipelines.core.findings.components import component_in, covers, is_purl
from release_pipelines.core.findings.flaws import Flaw, Names
from release_pipelines.core.findings.rules import Exemption
from release_pipelines.core.findings.vex import Product, Statement


class Excuse(NamedTuple):
    """One exception or statement.

    :param where: its place: a key of the app's file, or a statement of a document.
    :param words: what it says, for people.
    """

    where: str
    words: str


@dataclass(frozen=True)
class Excuses:
    """All of them, and what they are asked by.

    :param statements: in the order in which they were made; of two at one time the stricter is the last.
    :param names: which names mean one flaw.
    :param now: Unix time in seconds.
    """

    exemptions: Sequence[Exemption]
    statements: Sequence[Statement]
    product: Product | None
    names: Names
    now: float

    def of(self, flaw: Flaw) -> list[Excuse]:
        """What lets a flaw pass; empty where it is not covered by all of it together."""
        above = self.names.above(flaw.name)
        by_people = [(key, it) for key, it in self._exemptions(flaw, above) if it.holds(self.now)]
        said = {it.id for _, it in by_people}
        by_vex, against = self._statements(flaw, above)
        clear = said | {name for it in by_vex for name in it.names}
        own = self.names.root(flaw.name)
        if self.names.covered(flaw.name, said):
            by_vex = []
        elif own in against or not self.names.covered(flaw.name, clear):
            return []
        return [Excuse(key, _in_words(it)) for key, it in by_people] + [Excuse(it.where, it.why) for it in by_vex]

    def expired(self, flaw: Flaw) -> list[Excuse]:
        """Exceptions that would have let it pass, and hold no more."""
        found = self._exemptions(flaw, self.names.above(flaw.name))
        return [Excuse(key, _in_words(it)) for key, it in found if not it.holds(self.now)]

    def _exemptions(self, flaw: Flaw, above: set[str]) -> list[tuple[str, Exemption]]:
        return [
            (f"scan.exceptions[{number}]", it)
            for number, it in enumerate(self.exemptions)
            if self.names.same(it.id) & above and _is_for(it, flaw)
        ]

    def _statements(self, flaw: Flaw, above: set[str]) -> tuple[list[Statement], set[str]]:
        """The statements that let it pass, and the flaws of which the last statement does not. Of two at one time, the stricter counts."""
        last: dict[str, Statement] = {}
        roots = self._roots(above)
        for it in self.statements:
            if (means := self._roots(it.names) & roots) and it.speaks_of(flaw, self.product):
                last.update(dict.fromkeys(means, it))
        passing = {it.where: it for it in last.values() if it.passes}
        against = {name for name, it in last.items() if not it.passes}
        return list(passing.values()), against

    def _roots(self, names: Iterable[str]) -> set[str]:
        """The flaws that these names mean."""
        return {self.names.root(it) for it in names}


def _is_for(exemption: Exemption, flaw: Flaw) -> bool:
    """Whether an exception is for what a flaw is in."""
    pattern, component = component_in(exemption.component), component_in(flaw.component)
    if pattern is None or component is None:
        in_file = not is_purl(exemption.component) and component is None
        return in_file and bool(flaw.first.file) and exemption.component == flaw.first.file.removeprefix("./")
    return covers(pattern, component)


def _in_words(it: Exemption) -> str:
    return f"{it.reason.rstrip('.')} ({it.who}, until {it.until:%Y-%m-%d})"
