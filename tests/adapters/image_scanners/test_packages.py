"""Real Trivy and Grype on images that consist of lists of packages, with databases of the tests' own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from release_pipelines.adapters.image_scanners.grype import Grype
from release_pipelines.adapters.image_scanners.trivy import Trivy
from release_pipelines.core.model.limits import Limits
from tests.advisories import grype_cache, grype_environment, trivy_cache, trivy_environment
from tests.images import Layout
from tests.tools import needs

REQUESTS = {
    "app/requests-2.19.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: requests\nVersion: 2.19.0\n",
}
NEWER = {"app/requests-2.20.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: requests\nVersion: 2.20.0\n"}
SYSTEM = {"etc/os-release": 'NAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="12"\n', "etc/debian_version": "12.5\n"}
OLD = {
    "etc/os-release": 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.8.0\n',
    "etc/alpine-release": "3.8.0\n",
    "lib/apk/db/installed": "C:Q1abc=\nP:busybox\nV:1.28.4-r3\nA:x86_64\no:busybox\n\n",
}
PERL = (
    "Package: perl-base\nStatus: install ok installed\nArchitecture: amd64\nSource: perl\n"
    "Version: 5.36.0-7+deb12u1\nMaintainer: A <a@example.org>\nDescription: perl\n\n"
)

grype = needs("grype", "grypedb")
trivy = needs("trivy", "bolt")
MADE = 1_790_000_000.0


@pytest.fixture
def with_trivy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trivy:
    for name, it in trivy_cache(tmp_path / "trivy", MADE).items():
        monkeypatch.setenv(name, it)
    return Trivy()


@pytest.fixture
def with_grype(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grype:
    for name, it in grype_cache(tmp_path / "grype").items():
        monkeypatch.setenv(name, it)
    return Grype()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


@trivy
def test_trivy_names_package_fix_platform_and_the_age_of_its_data(with_trivy: Trivy, layout: Layout) -> None:
    image = layout.image(REQUESTS, architecture="arm64")
    result = with_trivy.scan_image(layout.names(image), image)
    assert (result.status, result.subject, result.data_at) == ("findings", image.digest, MADE)
    [finding] = result.findings
    assert (finding.kind, finding.severity, finding.rule) == ("vulnerability", "high", "CVE-2018-18074")
    assert (finding.component, finding.fixed_in) == ("pkg:pypi/requests@2.19.0", "2.20.0")
    assert finding.platform == "linux/arm64"
    assert [(it.source, it.score, it.rating) for it in finding.scores] == [("nvd", 7.5, "high")]


@trivy
def test_trivy_finds_nothing_in_a_fixed_version(with_trivy: Trivy, layout: Layout) -> None:
    image = layout.image(NEWER)
    result = with_trivy.scan_image(layout.names(image), image)
    assert (result.status, result.sentence) == ("clean", "trivy found nothing.")


@trivy
def test_trivy_looks_at_packages_of_the_system_by_their_source_and_a_severity_that_is_not_known_is_unknown(
    with_trivy: Trivy, layout: Layout
) -> None:
    image = layout.image({**SYSTEM, "var/lib/dpkg/status": PERL, "var/lib/dpkg/available": ""})
    result = with_trivy.scan_image(layout.names(image), image)
    assert {it.rule: it.severity for it in result.findings} == {"CVE-2026-1": "critical", "CVE-2026-2": "unknown"}
    assert {it.source for it in result.findings} == {"perl"}
    assert result.findings[0].component is not None
    assert result.findings[0].component.startswith("pkg:deb/debian/perl-base@5.36.0-7%2Bdeb12u1")


@trivy
def test_a_system_past_its_end_is_unknown_to_trivy_however_little_it_finds(with_trivy: Trivy, layout: Layout) -> None:
    image = layout.image(OLD)
    result = with_trivy.scan_image(layout.names(image), image)
    assert result.status == "unknown"
    assert result.sentence == "unknown: trivy could not look, because alpine 3.8.0 gets no security updates."


@trivy
def test_an_image_in_which_trivy_identifies_nothing_is_unknown(with_trivy: Trivy, layout: Layout) -> None:
    image = layout.image({"usr/bin/python3": "\x7fELF"})
    result = with_trivy.scan_image(layout.names(image), image)
    assert result.status == "unknown"
    assert "nothing could be identified" in result.sentence


@trivy
def test_a_system_without_its_list_of_packages_is_unknown_to_trivy(with_trivy: Trivy, layout: Layout) -> None:
    image = layout.image({**SYSTEM, **REQUESTS})
    result = with_trivy.scan_image(layout.names(image), image)
    assert result.status == "unknown"
    assert "debian 12.5 has no list of its packages" in result.sentence
    assert [it.rule for it in result.findings] == ["CVE-2018-18074"], "what it found all the same is told"


@trivy
def test_trivy_without_a_database_is_unknown(tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, it in trivy_environment(tmp_path / "nothing").items():
        monkeypatch.setenv(name, it)
    image = layout.image(REQUESTS)
    result = Trivy().scan_image(layout.names(image), image)
    assert (result.status, result.data_at) == ("unknown", None)
    assert "it ended with exit code 1" in result.sentence


@trivy
def test_a_limit_of_time_ends_trivy(with_trivy: Trivy, layout: Layout) -> None:
    image = layout.image(REQUESTS)
    result = with_trivy.within(Limits(timeout=0.01)).scan_image(layout.names(image), image)
    assert (result.status, "it took longer than 10 ms" in result.sentence) == ("unknown", True)


@trivy
def test_a_limit_of_memory_ends_trivy(with_trivy: Trivy, layout: Layout) -> None:
    image = layout.image(*[{f"app/{n}.txt": "x" * 1_000_000} for n in range(20)])
    result = with_trivy.within(Limits(memory=8 << 20)).scan_image(layout.names(image), image)
    assert result.status == "unknown"
    assert "MiB of memory, and 8 MiB are allowed" in result.sentence


@trivy
def test_trivy_works_within_a_limit_of_memory_that_addresses_alone_would_exceed(
    with_trivy: Trivy, layout: Layout
) -> None:
    image = layout.image(REQUESTS)
    result = with_trivy.within(Limits(memory="512Mi")).scan_image(layout.names(image), image)  # type: ignore[arg-type]
    assert result.status == "findings"


@grype
def test_grype_names_package_fix_aliases_and_the_age_of_its_data(with_grype: Grype, layout: Layout) -> None:
    image = layout.image(REQUESTS, architecture="arm64")
    result = with_grype.scan_image(layout.names(image), image)
    assert (result.status, result.subject) == ("findings", image.digest)
    assert result.data_at == pytest.approx(time.time(), abs=600)
    [finding] = result.findings
    assert (finding.kind, finding.severity, finding.rule) == ("vulnerability", "critical", "GHSA-x84v-xcm2-53pg")
    assert (finding.component, finding.fixed_in) == ("pkg:pypi/requests@2.19.0", "2.20.0")
    assert (finding.aliases, finding.platform) == (["CVE-2018-18074"], "linux/arm64")


@grype
def test_grype_finds_nothing_in_a_fixed_version(with_grype: Grype, layout: Layout) -> None:
    image = layout.image(NEWER)
    assert with_grype.scan_image(layout.names(image), image).status == "clean"


@grype
def test_an_image_in_which_grype_identifies_nothing_is_unknown(with_grype: Grype, layout: Layout) -> None:
    image = layout.image({"usr/bin/python3": "\x7fELF"})
    result = with_grype.scan_image(layout.names(image), image)
    assert result.status == "unknown"
    assert "nothing could be identified" in result.sentence


@grype
def test_grype_without_a_database_is_unknown(tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, it in grype_environment(tmp_path / "nothing").items():
        monkeypatch.setenv(name, it)
    image = layout.image(REQUESTS)
    result = Grype().scan_image(layout.names(image), image)
    assert (result.status, result.data_at) == ("unknown", None)
    assert "database does not exist" in result.sentence
