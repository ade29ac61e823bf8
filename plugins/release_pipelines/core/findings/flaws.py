"""One flaw of several records: findings of all scanners → flaws, each once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from release_pipelines.core.findings.components import component_in
from release_pipelines.core.findings.severity import together
from release_pipelines.core.model.finding import Finding, Rating, Score, Severity, reaches


class Names:
    """Which names mean one flaw, and from which ones it is derived, by all records at hand.

    An alias goes both ways, and on: A is B, B is C, so A is C. ``upstream`` goes on, and one way only: what is said of a flaw
    holds for what is derived from it, not the other way round.
    """

    def __init__(self, findings: Iterable[Finding] = ()) -> None:
        self._parents: dict[str, str] = {}
        derived: dict[str, set[str]] = {}
        for it in findings:
            names = [key for key in map(_key, (it.rule, *it.aliases)) if key]
            for name in names[1:]:
                self._unite(names[0], name)
            if names and it.upstream:
                derived.setdefault(names[0], set()).update(key for key in map(_key, it.upstream) if key)
        self._upstream: dict[str, set[str]] = {}
        for name, above in derived.items():
            root = self.root(name)
            self._upstream.setdefault(root, set()).update(self.root(up) for up in above if self.root(up) != root)
        self._groups: dict[str, set[str]] = {}
        for name in list(self._parents):
            self._groups.setdefault(self.root(name), set()).add(name)

    def root(self, name: str) -> str:
        """The one name that stands for all that mean the same."""
        key = _key(name)
        while (above := self._parents.setdefault(key, key)) != key:
            self._parents[key] = key = self._parents[above]
        return key

    def _unite(self, one: str, other: str) -> None:
        self._parents[self.root(other)] = self.root(one)

    def same(self, name: str) -> set[str]:
        """All names of a flaw, in the spelling that names are compared in."""
        return self._groups.get(self.root(name), set()) | {self.root(name)}

    def upstream(self, name: str) -> set[str]:
        """The flaws that a flaw is derived from directly, each by the name that stands for it."""
        return self._upstream.get(self.root(name), set())

    def above(self, name: str) -> set[str]:
        """All names under which something may be said of a flaw that holds for it: its own, and those that it is derived from."""
        found: set[str] = set()
        waiting = [self.root(name)]
        seen: set[str] = set()
        while waiting:
            root = waiting.pop()
            if root not in seen:
                seen.add(root)
                found |= self.same(root)
                waiting += self.upstream(root)
        return found

    def covered(self, name: str, said: set[str]) -> bool:
        """Whether what is said of these names holds for a flaw: one of its own is there, or every flaw that it is derived from is covered."""
        return self._covered(self.root(name), {_key(it) for it in said}, frozenset())

    def _covered(self, root: str, said: set[str], through: frozenset[str]) -> bool:
        if self.same(root) & said:
            return True
        above = self.upstream(root) - through
        return bool(above) and all(self._covered(it, said, through | {root}) for it in above)


def _key(name: str) -> str:
    """A name in the spelling in which names are compared."""
    return name.strip().upper()


@dataclass(frozen=True)
class Flaw:
    """One flaw in one place, with all records that speak of it.

    :param names: all of its names, the one that people know best first: that of CVE, if it has one.
    :param severity: the highest of its records.
    :param fixed_in: the version of the component that ends it; None: none is named.
    :param scanners: who found it.
    :param platforms: of a multi-platform image; empty: the source, or all.
    :param records: the worst first.
    """

    names: list[str]
    severity: Rating
    fixed_in: str | None
    scanners: list[str]
    platforms: list[str]
    records: list[Finding]

    @property
    def name(self) -> str:
        """The name that people know best."""
        return self.names[0]

    @cached_property
    def first(self) -> Finding:
        """The worst of its records, with the severity that counts."""
        return self.records[0].model_copy(update={"severity": self.severity})

    @property
    def kind(self) -> str:
        """What kind of finding it is."""
        return self.first.kind

    @property
    def component(self) -> str | None:
        """The package URL of what it is in; None: a file."""
        return self.first.component

    @property
    def scores(self) -> list[Score]:
        """All opinions of its severity."""
        return list({it.model_dump_json(): it for record in self.records for it in record.scores}.values())

    @property
    def place(self) -> str:
        """Where it is, in words."""
        it = self.first
        found = component_in(it.component)
        where = found.words if found else it.component or it.file
        where += f":{it.line}" if where == it.file and it.line else ""
        if it.source and found and it.source != found.name[2]:
            where += f" (of {it.source})"
        if it.layer:
            where += f" in layer {it.layer}" + (f", made by `{it.instruction}`" if it.instruction else "")
        return where + (f" on {' and '.join(self.platforms)}" if self.platforms else "")

    @property
    def text(self) -> str:
        """What the scanner says, without a full stop; of a secret it is not told, because it may hold the secret."""
        if self.kind == "secret":
            return "a secret; only a new one, and a new build without it, end this"
        return self.first.text.rstrip(" .")

    @property
    def fix(self) -> str:
        """What ends it, in words; empty where a fix says nothing."""
        if self.kind != "vulnerability":
            return ""
        return f"fixed in {self.fixed_in}" if self.fixed_in else "no fix is named"

    def reaches(self, limit: Severity) -> bool:
        """Whether it is as bad as the limit."""
        return reaches(self.severity, limit)


def flaws_in(found: Mapping[str, Iterable[Finding]], names: Names | None = None) -> list[Flaw]:
    """The flaws that several scanners found, the worst first, in an order that does not depend on theirs.

    Records are of one flaw where their names mean the same, and of one place: the same component in the same version, or the same line.
    One on several platforms is one flaw.

    :param found: names of scanners to their findings.
    :param names: what is known of names; None: what these findings tell.
    """
    names = names or Names(it for findings in found.values() for it in findings)
    groups: dict[Hashable, list[tuple[str, Finding]]] = {}
    for scanner, findings in found.items():
        for it in findings:
            groups.setdefault((names.root(it.rule), *place_of(it)), []).append((scanner, it))
    return sorted((_flaw(records) for records in groups.values()), key=order)


def place_of(finding: Finding, *, version: bool = True) -> tuple[Hashable, ...]:
    """Where a finding is, to be compared.

    :param version: whether a component's version counts, and the line in a file.
    """
    component = component_in(finding.component)
    if component:
        return (finding.kind, component.name, component.version if version else None)
    text = "" if finding.kind == "secret" else finding.text
    line = (finding.line, finding.layer) if version else None
    return (finding.kind, finding.component, finding.file.removeprefix("./"), text, line)


def order(flaw: Flaw) -> tuple[Hashable, ...]:
    """The worst first; what nobody can say stands beside the worst."""
    badness = ("unknown", "critical", "high", "medium", "low").index(flaw.severity)
    return (badness, flaw.name, flaw.component or "", flaw.first.file, flaw.first.line, flaw.first.text)


def _flaw(found: Sequence[tuple[str, Finding]]) -> Flaw:
    severity = together(it for _, it in found)
    records = {it.model_dump_json(): it for _, it in found}
    worst = sorted(records, key=lambda text: (records[text].severity != severity, text))
    names = sorted({name for _, it in found for name in (it.rule, *it.aliases) if name.strip()}, key=_fame)
    return Flaw(
        names=names or ["unnamed"],
        severity=severity,
        fixed_in=_fix([it for _, it in found]),
        scanners=sorted({scanner for scanner, _ in found}),
        platforms=sorted({it.platform for _, it in found if it.platform}),
        records=[records[text] for text in worst],
    )


def _fame(name: str) -> tuple[int, str]:
    known = ("CVE-", "GHSA-")
    return next((number for number, it in enumerate(known) if name.upper().startswith(it)), len(known)), name


def _fix(records: Sequence[Finding]) -> str | None:
    """The version that ends the flaw by every record that names one: the newest of them."""
    fixes = sorted({it.fixed_in for it in records if it.fixed_in})
    if len(fixes) < 2:
        return fixes[0] if fixes else None
    from univers.version_range import RANGE_CLASS_BY_SCHEMES

    component = component_in(next((it.component for it in records if it.component), None))
    ranges = RANGE_CLASS_BY_SCHEMES.get(component.name[0]) if component else None
    try:
        return max(fixes, key=ranges.version_class) if ranges else " and ".join(fixes)
    except Exception:  # versions of others may be anything
        return " and ".join(fixes)
