"""Components in CycloneDX and SPDX documents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from release_pipelines.adapters.sbom import NoSbom, components_in
from release_pipelines.core.model.component import Component

PERL = "pkg:deb/debian/perl-base@5.40.1-6?arch=arm64&distro=debian-13&upstream=perl"
LIBLDB2 = (
    "pkg:deb/debian/libldb2@2:2.6.2%2Bsamba4.17.12%2Bdfsg-0%2Bdeb12u1?distro=debian-12"
    "&upstream=samba%402:4.17.12%2Bdfsg-0%2Bdeb12u1"
)


def cyclonedx(*components: dict[str, Any]) -> list[Component]:
    return components_in(json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": list(components)}))


def spdx(*packages: dict[str, Any], **more: Any) -> list[Component]:
    return components_in(json.dumps({"spdxVersion": "SPDX-2.3", "packages": list(packages), **more}))


def reference(purl: str) -> list[dict[str, str]]:
    return [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}]


def test_both_formats_name_the_same_component() -> None:
    [one] = cyclonedx({"type": "library", "name": "perl-base", "version": "5.40.1-6", "purl": PERL})
    [other] = spdx({"name": "perl-base", "versionInfo": "5.40.1-6", "externalRefs": reference(PERL)})
    assert one == other
    assert (one.source, one.source_version, one.distro) == ("perl", None, "debian-13")


def test_the_source_package_has_a_version_of_its_own() -> None:
    [it] = cyclonedx({"type": "library", "name": "libldb2", "purl": LIBLDB2})
    assert (it.version, it.source, it.source_version) == (
        "2:2.6.2+samba4.17.12+dfsg-0+deb12u1", "samba", "2:4.17.12+dfsg-0+deb12u1",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("upstream", "source"),
    [
        ("openssl-3.0.7-24.el9.src.rpm", ("openssl", "3.0.7-24.el9")),
        ("python3.11-setuptools-65.5.1-2.el9.src.rpm", ("python3.11-setuptools", "65.5.1-2.el9")),
        ("openssl.src.rpm", ("openssl.src.rpm", None)),
    ],
)
def test_a_source_rpm_is_named_by_its_file(upstream: str, source: tuple[str, str | None]) -> None:
    purl = f"pkg:rpm/almalinux/openssl-libs@3.0.7-24.el9?distro=almalinux-9.3&epoch=1&upstream={upstream}"
    [it] = cyclonedx({"type": "library", "name": "openssl-libs", "purl": purl})
    assert (it.version, it.source, it.source_version) == ("1:3.0.7-24.el9", *source)


@pytest.mark.parametrize(
    ("properties", "source"),
    [
        ({"syft:metadata:source": "samba", "syft:metadata:sourceVersion": "2:4.17"}, ("samba", "2:4.17")),
        ({"syft:metadata:originPackage": "openssl"}, ("openssl", None)),
        (
            {
                "aquasecurity:trivy:SrcName": "shadow",
                "aquasecurity:trivy:SrcVersion": "4.13+dfsg1",
                "aquasecurity:trivy:SrcRelease": "1+deb12u1",
                "aquasecurity:trivy:SrcEpoch": "1",
            },
            ("shadow", "1:4.13+dfsg1-1+deb12u1"),
        ),
    ],
)
def test_the_source_package_stands_in_properties_of_several_tools(properties: dict[str, str], source: Any) -> None:
    entry = {"type": "library", "name": "x", "purl": "pkg:deb/debian/x@1?distro=debian-12"}
    [it] = cyclonedx({**entry, "properties": [{"name": name, "value": value} for name, value in properties.items()]})
    assert (it.source, it.source_version) == source


def test_the_operating_system_says_which_release_its_packages_are_of() -> None:
    packages = [
        {"type": "library", "name": "perl", "purl": "pkg:deb/debian/perl@1.0"},
        {"type": "library", "name": "lodash", "purl": "pkg:npm/lodash@1.0"},
    ]
    system = {"type": "operating-system", "name": "debian", "version": "13"}
    assert [it.distro for it in cyclonedx(*packages, system)] == ["debian-13", None]
    named = {"name": "debian", "versionInfo": "13", "primaryPackagePurpose": "OPERATING-SYSTEM"}
    [it] = spdx({"name": "perl", "externalRefs": reference("pkg:deb/debian/perl@1.0")}, named)
    assert it.distro == "debian-13"


def test_files_and_what_the_document_is_about_are_no_components() -> None:
    library = {"type": "library", "name": "perl", "purl": "pkg:deb/debian/perl@1.0"}
    nested = {"type": "application", "name": "shop", "version": "1", "components": [library]}
    names = [it.name for it in cyclonedx({"type": "file", "name": "/etc/passwd"}, nested)]
    assert names == ["shop", "perl"]
    root = {"SPDXID": "SPDXRef-root", "name": "shop"}
    described = {
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-root"}
        ]
    }
    assert [it.name for it in spdx(root, {"SPDXID": "SPDXRef-perl", "name": "perl"}, **described)] == ["perl"]


def test_licences_stand_as_they_are_written() -> None:
    entry = {"type": "library", "name": "x"}
    [it] = cyclonedx({**entry, "licenses": [{"license": {"id": "MIT"}}, {"license": {"name": "ZPL 2.1"}}]})
    assert it.licences == ["MIT", "ZPL 2.1"]
    [it] = cyclonedx({**entry, "licenses": [{"expression": "MIT OR Apache-2.0"}]})
    assert it.licences == ["MIT OR Apache-2.0"]
    [it] = spdx({"name": "x", "licenseConcluded": "NOASSERTION", "licenseDeclared": "MIT"})
    assert it.licences == ["MIT"]
    [it] = spdx({"name": "x", "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION"})
    assert it.licences == []


def test_a_component_without_package_url_is_kept() -> None:
    [it] = cyclonedx({"type": "library", "group": "acme", "name": "x", "version": "1"})
    assert (it.name, it.version, it.purl) == ("acme/x", "1", None)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("[]", "a JSON object is expected"),
        ("{}", "CycloneDX JSON .* or SPDX 2 JSON .* is expected"),
        ('{"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"}', "SPDX 2 JSON"),
        ("no", "the SBOM cannot be read"),
        ('{"bomFormat": "CycloneDX", "components": [{"type": "library"}]}', "the SBOM cannot be read .KeyError"),
        ('{"bomFormat": "CycloneDX", "components": ["x"]}', "the SBOM cannot be read .AttributeError"),
    ],
)
def test_what_is_no_sbom_is_refused(document: str, why: str) -> None:
    with pytest.raises(NoSbom, match=why):
        components_in(document)
