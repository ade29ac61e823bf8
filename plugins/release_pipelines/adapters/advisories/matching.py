"""Components and advisories → findings, and what could not be looked at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from release_pipelines.adapters.advisories.packages import (
    NotCovered,
    Package,
    ecosystem_of,
    normalised,
    package_of,
)
from release_pipelines.adapters.advisories.ranges import Affected, evaluate
from release_pipelines.adapters.advisories.records import Record
from release_pipelines.adapters.advisories.severity import scores_in
from release_pipelines.adapters.advisories.versions import NoOrder
from release_pipelines.core.findings.severity import rating_of
from release_pipelines.core.model.component import Component
from release_pipelines.core.model.finding import Finding
from release_pipelines.core.text import one_line


class Matched(NamedTuple):
    """What advisories say of components.

    :param findings: one for each advisory and component.
    :param withdrawn: ids of advisories that would hit one, if they were not withdrawn.
    :param not_looked: reasons to the components that nobody could look at, by name and version.
    :param left_out: components of types that need not be covered.
    """

    findings: list[Finding]
    withdrawn: list[str]
    not_looked: dict[str, list[str]]
    left_out: list[str]


class Matcher:
    """Takes advisories one after the other; what does not concern any component is not kept.

    :param components: of one SBOM.
    :param leave_out: types of package URLs that advisories need not cover.
    """

    def __init__(self, components: Iterable[Component], leave_out: Iterable[str] = ()) -> None:
        self._by_name: dict[tuple[str, str], list[tuple[Component, Package]]] = defaultdict(list)
        self._packages: list[tuple[Component, Package]] = []
        self._covered: set[tuple[str, str | None]] = set()
        self._newest: dict[str, float] = {}
        self._concern: dict[str, Record] = {}
        self._not_looked: dict[str, list[str]] = defaultdict(list)
        self._left_out: list[str] = []
        left_out = {f"pkg:{it}/" for it in leave_out}
        for it in components:
            if it.purl and it.purl.partition("/")[0] + "/" in left_out:
                self._left_out.append(_named(it))
                continue
            try:
                package = package_of(it)
            except NotCovered as error:
                self._not_looked[f"packages {error}"].append(_named(it))
                continue
            self._packages.append((it, package))
            for name in package.names:
                self._by_name[package.ecosystem, name].append((it, package))

    def take(self, record: Record) -> None:
        """Take an advisory; of two with one id the one counts that was modified last."""
        known = self._newest.get(record.id)
        if known is not None and known >= record.modified:
            return
        self._newest[record.id] = record.modified
        self._concern.pop(record.id, None)
        for entry in record.raw.get("affected") or []:
            if (named := _package_in(entry)) is None:
                continue
            ecosystem, release, name = named
            self._covered.add((ecosystem, release))
            if (ecosystem, name) in self._by_name:
                self._concern[record.id] = record

    def matched(self, now: float) -> Matched:
        """What all advisories that were taken say.

        :param now: Unix time in seconds.
        """
        findings: list[Finding] = []
        withdrawn: list[str] = []
        not_looked = defaultdict(list, {why: list(names) for why, names in self._not_looked.items()})
        for component, package in self._packages:
            if not {(package.ecosystem, package.release), (package.ecosystem, None)} & self._covered:
                not_looked[f"no advisory of {package.words} is in the data for"].append(_named(component))
        for record in self._concern.values():
            for component, package, entries in self._entries(record):
                counts = record.withdrawn is None or record.withdrawn > now
                try:
                    finding = _looked_up(record, component, package, entries)
                except NoOrder as error:
                    if counts:
                        not_looked[f"{record.id} cannot be compared ({error}) with"].append(_named(component))
                    continue
                if finding and counts:
                    findings.append(finding)
                elif finding:
                    withdrawn.append(record.id)
        return Matched(findings, list(dict.fromkeys(withdrawn)), dict(not_looked), self._left_out)

    def _entries(self, record: Record) -> Iterable[tuple[Component, Package, list[Mapping[str, Any]]]]:
        """Components that a record speaks of, each with all of its entries: of its own release, or of all."""
        own: dict[int, tuple[Component, Package, list[Mapping[str, Any]]]] = {}
        for entry in record.raw.get("affected") or []:
            if (named := _package_in(entry)) is None:
                continue
            ecosystem, release, name = named
            for component, package in self._by_name.get((ecosystem, name), []):
                if release in (None, package.release):
                    own.setdefault(id(component), (component, package, []))[2].append(entry)
        return own.values()


def _package_in(entry: Mapping[str, Any]) -> tuple[str, str | None, str] | None:
    """Ecosystem, release and normalised name of the package in an entry; None: it speaks of none, but of commits."""
    package = entry.get("package")
    if not isinstance(package, dict) or not package.get("name") or not package.get("ecosystem"):
        return None
    ecosystem, release = ecosystem_of(str(package["ecosystem"]))
    return ecosystem, release, normalised(ecosystem, str(package["name"]))


def _looked_up(
    record: Record, component: Component, package: Package, entries: list[Mapping[str, Any]]
) -> Finding | None:
    """What a record says of a component; None: it is not affected.

    :raises NoOrder: when nobody can say.
    """
    if package.version is None:
        raise NoOrder("its version is not known")
    try:
        said = evaluate(entries, package.ecosystem, package.version)
        return _finding(record, component, package, entries, said) if said.yes else None
    except (AttributeError, TypeError, KeyError):
        raise NoOrder("it does not keep to the OSV schema") from None


def _finding(
    record: Record, component: Component, package: Package, entries: list[Mapping[str, Any]], said: Affected
) -> Finding:
    scores = scores_in(record.raw, entries)
    source = f", of the source package {package.source} {package.version}" if package.source else ""
    if said.fixed:
        fix = f"fixed in {said.fixed}"
    elif said.newer_than:
        fix = f"fix: none named, newer than {said.newer_than} is not affected"
    else:
        fix = "fix: none named"
    about = record.raw.get("summary") or one_line(record.raw.get("details") or "", 200) or "no summary"
    return Finding(
        kind="vulnerability",
        severity=rating_of(scores),
        rule=record.id,
        text=f"{_named(component)}{source}: {one_line(about, 250)} ({fix})",
        aliases=[str(it) for it in record.raw.get("aliases") or []],
        upstream=[str(it) for it in record.raw.get("upstream") or []],
        component=component.purl,
        source=package.source,
        fixed_in=said.fixed,
        scores=scores,
    )


def _named(component: Component) -> str:
    return one_line(f"{component.name} {component.version or '(no version)'}", 120)
