"""Licences of what is in an image, as Syft finds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from release_pipelines.adapters import sbom
from release_pipelines.core.model.finding import ScanResult
from release_pipelines.core.model.image import PlatformImage
from release_pipelines.core.ports.scanner import IMAGE_SCANNERS
from tests.oci_layouts import make_layout

needs_syft = pytest.mark.skipif(sbom.missing() is not None, reason="syft is not installed: no image was looked at")
METADATA = "Metadata-Version: 2.4\nName: leftpad\nVersion: 1.0.0\n"
PLACE = "usr/lib/python3/dist-packages/leftpad-1.0.0.dist-info/METADATA"


def scan(folder: Path, files: dict[str, str]) -> tuple[ScanResult, str]:
    image: PlatformImage = make_layout(folder / "image", [files])
    return IMAGE_SCANNERS.get("licences").scan_image(folder / "image", image), image.digest


@needs_syft
def test_each_package_has_its_licence_or_none(tmp_path: Path) -> None:
    result, digest = scan(tmp_path, {PLACE: f"{METADATA}License-Expression: MIT OR Apache-2.0\n"})
    assert (result.status, result.subject) == ("findings", digest)
    [found] = result.findings
    assert (found.kind, found.severity, found.rule) == ("licence", "low", "MIT OR Apache-2.0")
    assert str(found.component).startswith("pkg:pypi/leftpad@1.0.0")
    nothing, _ = scan(tmp_path / "other", {PLACE: METADATA})
    assert [it.rule for it in nothing.findings] == [""]


@needs_syft
def test_an_image_of_which_nothing_is_known_is_unknown(tmp_path: Path) -> None:
    result, _ = scan(tmp_path, {"bin/app": "ELF"})
    assert result.status == "unknown"
    assert "identified no package" in result.sentence


def test_without_syft_nobody_has_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sbom, "missing", lambda: "the command syft is missing on this worker")
    result, _ = scan(tmp_path, {PLACE: METADATA})
    assert result.status == "unknown"
    assert "syft is missing" in result.sentence
