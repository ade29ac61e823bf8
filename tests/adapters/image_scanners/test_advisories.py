"""Images looked up in advisories, with real Syft and without the internet."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters import sbom
from release_pipelines.adapters.image_scanners.advisories import Advisories
from release_pipelines.core.model.component import Component
from release_pipelines.core.model.finding import ScanResult
from release_pipelines.core.ports.scanner import IMAGE_SCANNERS, Configured, ImageScanner, image_scanner
from tests.oci_layouts import debian, make_layout

needs_syft = pytest.mark.skipif(sbom.missing() is not None, reason="syft is not installed: no image was looked up")

PERL = ("Debian:13", "perl", {"introduced": "0"}, {"fixed": "5.40.1-6+deb13u1"})
LODASH = ("npm", "lodash", {"introduced": "0"}, {"fixed": "4.17.21"})
TORCH = ("PyPI", "torch", {"introduced": "0"}, {"fixed": "2.6.0"})
OTHERS = (
    ("Debian:13", "other", {"introduced": "0"}),
    ("npm", "other", {"introduced": "0"}),
    ("PyPI", "other", {"introduced": "0"}),
)
DAYS = 86_400.0


@pytest.fixture
def osv(tmp_path: Path) -> Callable[..., str]:
    """Writes records, and gives their folder."""

    def written(*records: tuple[Any, ...], days_old: float = 1.0) -> str:
        folder = tmp_path / "osv"
        folder.mkdir(exist_ok=True)
        at = datetime.fromtimestamp(time.time() - days_old * DAYS, timezone.utc).isoformat()
        for number, (ecosystem, name, *events) in enumerate(records):
            ranges = [{"type": "ECOSYSTEM", "events": events}]
            package = {"ecosystem": ecosystem, "name": name}
            record = {"id": f"A-{number}", "modified": at, "affected": [{"package": package, "ranges": ranges}]}
            (folder / f"A-{number}.json").write_text(json.dumps(record))
        return str(folder)

    return written


def scanner(tmp_path: Path, *osv: str, **options: Any) -> Advisories:
    made = Advisories(copies=tmp_path / "copies").configured({"osv": list(osv), **options})
    assert isinstance(made, ImageScanner)
    return made


def scan(tmp_path: Path, made: Advisories, files: dict[str, str]) -> tuple[ScanResult, str]:
    image = make_layout(tmp_path / "image", [files])
    return made.scan_image(tmp_path / "image", image), image.digest


def test_the_scanner_takes_options_by_its_name(tmp_path: Path) -> None:
    assert "advisories" in IMAGE_SCANNERS.names()
    assert isinstance(IMAGE_SCANNERS.get("advisories"), Configured)
    made = image_scanner("advisories", {"osv": ["/srv/osv"], "older_than": 3600.0})
    assert isinstance(made, Advisories)
    assert (made.options.osv, made.options.older_than) == (["/srv/osv"], 3600.0)
    with pytest.raises(ValueError, match=r"advisories.osv.0 .* a path, or an address of http or https, is expected"):
        image_scanner("advisories", {"osv": ["ftp://example.org/osv"]})


@needs_syft
def test_what_is_affected_is_found_by_its_digest_and_platform(tmp_path: Path, osv: Any) -> None:
    result, digest = scan(tmp_path, scanner(tmp_path, osv(PERL, LODASH, TORCH)), debian(torch="2.5.1+cu124"))
    assert result.status == "findings"
    assert {(it.rule, it.fixed_in, it.platform) for it in result.findings} == {
        ("A-0", "5.40.1-6+deb13u1", "linux/amd64"),
        ("A-1", "4.17.21", "linux/amd64"),
        ("A-2", "2.6.0", "linux/amd64"),
    }
    assert result.subject == digest
    assert result.data_at == pytest.approx(time.time() - DAYS, abs=120)
    assert result.sentence.startswith("advisories found 3 of unknown severity in 3 packages (data of ")


@needs_syft
def test_an_image_without_known_flaws_is_clean(tmp_path: Path, osv: Any) -> None:
    result, _ = scan(tmp_path, scanner(tmp_path, osv(*OTHERS)), debian(torch="2.6.0+cu124"))
    assert (result.status, result.findings, result.not_looked_at) == ("clean", [], [])


@needs_syft
def test_an_ecosystem_without_data_is_unknown_and_its_packages_are_named(tmp_path: Path, osv: Any) -> None:
    result, digest = scan(tmp_path, scanner(tmp_path, osv(*OTHERS[:1])), debian(torch="2.6.0"))
    assert result.status == "unknown"
    assert set(result.not_looked_at) == {
        "no advisory of npm is in the data for lodash 4.17.0",
        "no advisory of PyPI is in the data for torch 2.6.0",
    }
    assert "lodash 4.17.0" in result.sentence
    assert result.subject == digest


@needs_syft
def test_findings_are_told_beside_what_could_not_be_looked_at(tmp_path: Path, osv: Any) -> None:
    files = {**debian(), "app/shop.jar": "PK no archive"}
    result, _ = scan(tmp_path, scanner(tmp_path, osv(PERL, *OTHERS)), files)
    assert (result.status, [it.rule for it in result.findings]) == ("unknown", ["A-0"])
    assert "app/shop.jar" in result.sentence
    assert "found 1 of unknown severity" in result.sentence


@needs_syft
def test_an_image_in_which_nothing_is_identified_is_unknown(tmp_path: Path, osv: Any) -> None:
    result, _ = scan(tmp_path, scanner(tmp_path, osv(*OTHERS)), {"usr/bin/python3": "ELF"})
    assert result.status == "unknown"
    assert "Syft identified no package" in result.sentence


SHOP = [Component(name="shop", version="1.0", purl="pkg:pypi/shop@1.0")]


def test_old_data_are_unknown_only_where_a_limit_is_set(tmp_path: Path, osv: Any) -> None:
    where = osv(*OTHERS, days_old=3)
    assert scanner(tmp_path, where).look_up(SHOP, None, None).status == "clean"
    assert scanner(tmp_path, where, older_than="4d").look_up(SHOP, None, None).status == "clean"
    result = scanner(tmp_path, where, older_than="2d").look_up(SHOP, None, None)
    assert result.status == "unknown"
    assert "48 h old at most is allowed" in result.sentence
    assert result.data_at == pytest.approx(time.time() - 3 * DAYS, abs=120)


def test_one_old_source_of_several_is_unknown(tmp_path: Path, osv: Any) -> None:
    (tmp_path / "old.json").write_text('{"id": "A-9", "modified": "2020-01-01T00:00:00Z"}')
    result = scanner(tmp_path, osv(*OTHERS), str(tmp_path / "old.json"), older_than="2d").look_up(SHOP, None, None)
    assert result.status == "unknown"
    assert f"the data of {tmp_path}/old.json are of 2020-01-01 00:00 UTC" in result.sentence


@pytest.mark.parametrize(
    ("osv", "why"), [([], "it is not said where advisories are"), (["/gone"], "no file or folder /gone")]
)
def test_without_data_it_is_unknown(osv: list[str], why: str, tmp_path: Path) -> None:
    result = scanner(tmp_path, *osv).look_up(SHOP, "sha256:a", None)
    assert (result.status, result.subject) == ("unknown", "sha256:a")
    assert why in result.sentence


def test_nothing_to_look_up_is_unknown(tmp_path: Path, osv: Any) -> None:
    assert scanner(tmp_path, osv(*OTHERS)).look_up([], None, None).status == "unknown"


def test_what_is_left_out_and_what_is_withdrawn_is_told(tmp_path: Path, osv: Any) -> None:
    folder = Path(osv(*OTHERS))
    gone = {
        "id": "GHSA-jw44-4f3j-q396",
        "modified": "2025-06-19T14:29:04Z",
        "withdrawn": "2025-06-19T14:29:04Z",
        "affected": [{"package": {"ecosystem": "PyPI", "name": "shop"}, "versions": ["1.0"]}],
    }
    (folder / "gone.json").write_text(json.dumps(gone))
    busybox = Component(name="busybox", version="1.36", purl="pkg:generic/busybox@1.36")
    result = scanner(tmp_path, str(folder), leave_out=["generic"]).look_up([*SHOP, busybox], None, None)
    assert (result.status, result.withdrawn) == ("clean", ["GHSA-jw44-4f3j-q396"])
    assert "left out: busybox 1.36; withdrawn and not counted: GHSA-jw44-4f3j-q396" in result.sentence
