"""A CycloneDX or SPDX document → components."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.component import Component
from release_pipelines.core.text import one_line

if TYPE_CHECKING:
    from packageurl import PackageURL

NO_PACKAGES = {"file", "operating-system", "data", "cryptographic-asset", "container", "source"}
"""Types, or purposes, of entries that are no packages where they have no package URL."""
IMAGES = {"oci", "docker"}
"""Types of package URLs that name a whole image."""
SOURCES = (
    ("syft:metadata:source", "syft:metadata:sourceVersion"),
    ("syft:metadata:originPackage", None),
    ("aquasecurity:trivy:SrcName", "aquasecurity:trivy:SrcVersion"),
)
"""Properties in which tools name the source package, and its version."""
SOURCE_RPM = re.compile(r"(.+)-([^-]+-[^-]+)\.(?:no)?src\.rpm")
SAYS_NOTHING = {None, "", "NOASSERTION", "NONE"}


class NoSbom(ReleaseError):
    """A document is no SBOM that can be read; the sentence has no full stop."""


def components_in(document: str | bytes) -> list[Component]:
    """The components of an SBOM, each once.

    :param document: CycloneDX JSON, or SPDX 2 JSON.
    :raises NoSbom: with what is expected.
    """
    try:
        tree = json.loads(document)
        if not isinstance(tree, dict):
            raise NoSbom("a JSON object is expected, CycloneDX or SPDX")
        if tree.get("bomFormat") == "CycloneDX":
            found = _cyclonedx(tree)
        elif str(tree.get("spdxVersion", "")).startswith("SPDX-2"):
            found = _spdx(tree)
        else:
            raise NoSbom("CycloneDX JSON (`bomFormat`) or SPDX 2 JSON (`spdxVersion`) is expected")
        return list({it.model_dump_json(): it for it in found}.values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoSbom(f"the SBOM cannot be read ({type(error).__name__}: {one_line(error, 200)})") from None


def _cyclonedx(tree: Mapping[str, Any]) -> Iterator[Component]:
    entries = list(_nested(tree.get("components") or []))
    system = next((it for it in entries if it.get("type") == "operating-system"), None)
    distro = f"{system['name']}-{system.get('version', '')}".rstrip("-") if system else None
    for it in entries:
        if it.get("type") in NO_PACKAGES and not it.get("purl"):
            continue
        properties = {str(p.get("name")): str(p.get("value")) for p in it.get("properties") or []}
        licences = [_licence(entry) for entry in it.get("licenses") or []]
        group = it.get("group")
        name = f"{group}/{it['name']}" if group else it["name"]
        yield _component(name, it.get("version"), it.get("purl"), licences, distro, properties)


def _nested(components: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for it in components:
        yield it
        yield from _nested(it.get("components") or [])


def _licence(entry: Mapping[str, Any]) -> str:
    licence = entry.get("license") or {}
    return str(entry.get("expression") or licence.get("id") or licence.get("name") or "NOASSERTION")


def _spdx(tree: Mapping[str, Any]) -> Iterator[Component]:
    entries = [
        (it, _purl_of(it), str(it.get("primaryPackagePurpose", "")).lower()) for it in tree.get("packages") or []
    ]
    system = next((it for it, _, purpose in entries if purpose == "operating-system"), None)
    distro = f"{system['name']}-{system.get('versionInfo', '')}".rstrip("-") if system else None
    roots = _roots(tree)
    for it, purl, purpose in entries:
        if len(roots) == 1 and it.get("SPDXID") in roots and len(entries) > 1:
            continue  # what the document is about
        if purpose in NO_PACKAGES and not purl:
            continue
        licences = [it.get(key) for key in ("licenseConcluded", "licenseDeclared")]
        said = [str(licence) for licence in licences if licence not in SAYS_NOTHING][:1]
        yield _component(it["name"], it.get("versionInfo"), purl, said, distro, {})


def _roots(tree: Mapping[str, Any]) -> set[str]:
    related = {
        str(it.get("relatedSpdxElement"))
        for it in tree.get("relationships") or []
        if it.get("relationshipType") == "DESCRIBES" and it.get("spdxElementId") == "SPDXRef-DOCUMENT"
    }
    return related | set(tree.get("documentDescribes") or [])


def _purl_of(package: Mapping[str, Any]) -> str | None:
    references = package.get("externalRefs") or []
    return next((str(it["referenceLocator"]) for it in references if it.get("referenceType") == "purl"), None)


def _component(
    name: str,
    version: str | None,
    purl: str | None,
    licences: list[str],
    distro: str | None,
    properties: Mapping[str, str],
) -> Component:
    parsed = _parsed(purl)
    qualifiers: Mapping[str, str] = dict(parsed.qualifiers) if parsed else {}
    source, source_version = _source(qualifiers.get("upstream"), properties)
    own = (parsed.version if parsed else None) or version or None
    return Component(
        name=name,
        version=_with_epoch(own, qualifiers.get("epoch")),
        purl=purl,
        licences=licences,
        source=source,
        source_version=source_version,
        distro=qualifiers.get("distro") or (distro if parsed and parsed.type in ("deb", "apk", "rpm") else None),
    )


def _parsed(purl: str | None) -> PackageURL | None:
    from packageurl import PackageURL

    try:
        return PackageURL.from_string(purl) if purl else None
    except ValueError:
        return None


def _source(upstream: str | None, properties: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Name and version of the source package; Syft's qualifier is ``name``, ``name@version`` or the name of a source RPM."""
    if upstream and (rpm := SOURCE_RPM.fullmatch(upstream)):
        return rpm[1], rpm[2]
    if upstream:
        before, _, after = upstream.partition("@")
        return before, after or None
    for name_key, version_key in SOURCES:
        if name := properties.get(name_key):
            said = properties.get(version_key, "") if version_key else ""
            return name, _whole_version(said, properties) or None
    return None, None


def _whole_version(version: str, properties: Mapping[str, str]) -> str:
    """Trivy has epoch, version and release apart."""
    release = properties.get("aquasecurity:trivy:SrcRelease")
    whole = f"{version}-{release}" if version and release and not version.endswith(f"-{release}") else version
    return _with_epoch(whole, properties.get("aquasecurity:trivy:SrcEpoch")) or ""


def _with_epoch(version: str | None, epoch: str | None) -> str | None:
    """Some tools write the epoch beside the version."""
    return f"{epoch}:{version}" if version and epoch not in SAYS_NOTHING and ":" not in version else version
