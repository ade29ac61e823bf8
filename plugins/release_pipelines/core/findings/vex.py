"""Statements of VEX documents: which flaws do not hurt in which components. OpenVEX and CycloneDX, as JSON."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timezone
from typing import Any

from release_pipelines.core.findings.components import Component, component_in, covers
from release_pipelines.core.findings.flaws import Flaw
from release_pipelines.core.text import one_line

OPENVEX = {"not_affected": True, "fixed": True, "affected": False, "under_investigation": False}
CYCLONEDX = {
    "not_affected": True,
    "false_positive": True,
    "resolved": True,
    "resolved_with_pedigree": True,
    "exploitable": False,
    "in_triage": False,
}
"""Whether a state lets a finding pass."""


@dataclass(frozen=True)
class Product:
    """The image that is judged.

    :param repository: with the registry's host.
    :param digest: of its index, or of its one manifest.
    :param version: its tag.
    :param platforms: digests of its platforms' manifests to the platforms' names.
    """

    repository: str
    digest: str | None = None
    version: str | None = None
    platforms: Mapping[str, str] = field(default_factory=dict)

    def is_named(self, component: Component, platforms: Collection[str]) -> bool:
        """Whether a package URL names this image, on all of these platforms."""
        kind, namespace, name = component.name
        folder, _, last = self.repository.rpartition("/")
        if kind not in ("oci", "docker") or name.lower() != last.lower():
            return False
        if kind == "docker" and namespace and not folder.endswith(namespace):
            return False
        if component.version not in (None, self.digest, self.version) and not (
            component.version in self.platforms and set(platforms) == {self.platforms[component.version]}
        ):
            return False
        architectures = {it.split("/")[1] for it in platforms if "/" in it}
        known = {
            "repository_url": (self.repository, folder),
            "tag": (self.version,),
            "arch": tuple(architectures) if len(architectures) == 1 else (),
        }
        return all(value in known.get(key, ()) for key, value in component.qualifiers.items())


@dataclass(frozen=True)
class Statement:
    """What a VEX document says of one flaw.

    :param names: all names that it gives the flaw.
    :param passes: whether it says that the flaw does not hurt.
    :param where: which statement of which document it is.
    :param why: its state and its reasons, in words.
    :param at: when it was made, as Unix time in seconds; 0: it does not say.
    :param of: pairs of what it speaks of: a component, or a product and components of it (none: all of them).
    """

    names: frozenset[str]
    passes: bool
    where: str
    why: str
    at: float
    of: tuple[tuple[Component, tuple[Component, ...] | None], ...]

    def speaks_of(self, flaw: Flaw, product: Product | None) -> bool:
        """Whether it speaks of the component that a flaw is in. One without a package URL is never spoken of."""
        component = component_in(flaw.component)
        if component is None:
            return False
        for subject, parts in self.of:
            ours = product is not None and product.is_named(subject, flaw.platforms)
            if ours and (parts is None or any(covers(it, component) for it in parts)):
                return True
            if parts is None and covers(subject, component):
                return True
        return False


def statements_in(text: str, file: str) -> list[Statement]:
    """The statements of a document.

    :param file: its name, for sentences.
    :raises ValueError: one sentence: it is neither OpenVEX nor CycloneDX, or something in it is not as they have it.
    """
    try:
        document = json.loads(text)
    except ValueError:
        raise ValueError(
            f"{file}: found something that is not JSON, expected an OpenVEX or a CycloneDX document."
        ) from None
    if isinstance(document, dict) and "openvex" in str(document.get("@context", "")):
        read = _openvex
    elif isinstance(document, dict) and document.get("bomFormat") == "CycloneDX":
        read = _cyclonedx
    else:
        raise ValueError(f"{file}: found another document, expected one of OpenVEX or CycloneDX as JSON.")
    try:
        return list(read(document, file))
    except (AttributeError, TypeError, KeyError) as error:
        raise ValueError(
            f"{file}: found a document that cannot be read ({one_line(error, 100)}), expected OpenVEX or CycloneDX."
        ) from None


def _openvex(document: Mapping[str, Any], file: str) -> Iterator[Statement]:
    for number, it in enumerate(document["statements"], 1):
        where = f"{file}, statement {number}"
        status = it.get("status")
        if status not in OPENVEX:
            raise ValueError(
                f"{where}: found the status `{one_line(status, 100)}`, expected one of {', '.join(OPENVEX)}."
            )
        flaw = it["vulnerability"]
        flaw = {"name": flaw} if isinstance(flaw, str) else flaw
        names = [flaw.get("name") or flaw.get("@id") or "", *(flaw.get("aliases") or [])]
        of = []
        for product in it.get("products") or []:
            subject = _purl_in(product)
            parts = product.get("subcomponents") if isinstance(product, dict) else None
            if subject:
                of.append((subject, tuple(filter(None, map(_purl_in, parts))) if parts else None))
        yield Statement(
            names=frozenset(filter(None, map(str, names))),
            passes=OPENVEX[status],
            where=where,
            why=_why(status, it.get("justification"), it.get("impact_statement"), it.get("status_notes")),
            at=_moment(
                it.get("last_updated"), it.get("timestamp"), document.get("last_updated"), document.get("timestamp")
            ),
            of=tuple(of),
        )


def _purl_in(subject: Any) -> Component | None:
    if isinstance(subject, str):
        return component_in(subject)
    return component_in((subject.get("identifiers") or {}).get("purl")) or component_in(subject.get("@id"))


def _cyclonedx(document: Mapping[str, Any], file: str) -> Iterator[Statement]:
    purls = dict(_references(document))
    for number, it in enumerate(document.get("vulnerabilities") or [], 1):
        analysis = it.get("analysis") or {}
        state = analysis.get("state")
        where = f"{file}, vulnerability {number}"
        if state is None:
            continue  # an advisory, and no statement
        if state not in CYCLONEDX:
            raise ValueError(
                f"{where}: found the state `{one_line(state, 100)}`, expected one of {', '.join(CYCLONEDX)}."
            )
        names = [it.get("id"), *(other.get("id") for other in it.get("references") or [])]
        metadata = document.get("metadata") or {}
        of = [(subject, None) for place in it.get("affects") or [] for subject in _affected(place, purls)]
        yield Statement(
            names=frozenset(str(name) for name in names if name),
            passes=CYCLONEDX[state],
            where=where,
            why=_why(state, analysis.get("justification"), analysis.get("detail")),
            at=_moment(
                analysis.get("lastUpdated"), analysis.get("firstIssued"), it.get("updated"), metadata.get("timestamp")
            ),
            of=tuple(of),
        )


def _affected(place: Mapping[str, Any], purls: Mapping[str, str]) -> Iterator[Component]:
    """What an entry of ``affects`` speaks of. Where it lists versions, those are bound that it calls unaffected; ranges bind none."""
    reference = str(place.get("ref") or "")
    subject = component_in(reference) or component_in(purls.get(reference) or purls.get(reference.rpartition("#")[2]))
    if subject is None:
        return
    if not place.get("versions"):
        yield subject
        return
    for it in place["versions"]:
        if it.get("status") == "unaffected" and it.get("version") and subject.version in (None, it["version"]):
            yield subject._replace(version=it["version"])


def _references(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """References inside the document to package URLs."""
    waiting = [(document.get("metadata") or {}).get("component") or {}, *(document.get("components") or [])]
    while waiting:
        it = waiting.pop()
        if it.get("bom-ref") and it.get("purl"):
            yield str(it["bom-ref"]), str(it["purl"])
        waiting += it.get("components") or []


def _why(*parts: Any) -> str:
    return ": ".join(
        one_line(it, 300).replace("_", " ") if number < 2 else one_line(it, 300)
        for number, it in enumerate(parts)
        if it
    )


def _moment(*times: Any) -> float:
    """The first of these that is a time, as Unix time in seconds; 0 where none is."""
    from dateutil.parser import isoparse  # reads nanoseconds, too

    for it in times:
        try:
            at = isoparse(str(it))
        except ValueError:
            continue
        return float((at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp())
    return 0.0
