"""`release advisories`: what the data are, and how old."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest
from typer.testing import CliRunner

from release_pipelines.cli import app

run = CliRunner().invoke
BASE = """
platform: container_host
connections: {platform: a, registry: b, prometheus: c}
router: {kind: traefik}
address: {url: "http://127.0.0.1:8000"}
"""
KEV = {
    "dateReleased": "2026-11-26T18:00:00Z",
    "vulnerabilities": [{"cveID": "CVE-2025-41115", "dateAdded": "2026-11-20"}],
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two environments; data whose newest record is three days old, and a list of what is exploited."""
    monkeypatch.setenv("RELEASE_PIPELINES_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "base.yaml").write_text(BASE)
    (tmp_path / "config" / "staging.yaml").write_text("name: staging\n")
    at = datetime.fromtimestamp(time.time() - 3 * 86_400, timezone.utc).isoformat()
    (tmp_path / "osv").mkdir()
    (tmp_path / "osv" / "A-1.json").write_text(json.dumps({"id": "A-1", "modified": at}))
    (tmp_path / "kev.json").write_text(json.dumps(KEV))
    return tmp_path


def names(project: Path, text: str) -> None:
    (project / "config" / "production.yaml").write_text(f"name: production\n{text.replace('HERE', str(project))}")


def test_sources_records_and_age_are_told(project: Path) -> None:
    names(project, "advisories: {osv: [HERE/osv], kev: HERE/kev.json}\n")
    done = run(app, ["advisories", "--json"])
    assert done.exit_code == 0, done.output
    osv, kev = json.loads(done.stdout)
    assert (osv["kind"], osv["source"], osv["records"], osv["environments"]) == (
        "osv", f"{project}/osv", 1, ["production"],
    )  # fmt: skip
    assert osv["age_seconds"] == pytest.approx(3 * 86_400, abs=120)
    assert (osv["too_old"], osv["note"]) == (False, None)
    assert (kev["kind"], kev["records"], kev["newest"]) == ("kev", 1, "2026-11-26T18:00:00.000+00:00")
    assert f"{project}/osv" in run(app, ["advisories", "production"]).stdout


def test_data_that_are_too_old_or_gone_end_with_an_error(project: Path) -> None:
    names(project, "advisories: {osv: [HERE/osv, HERE/gone], older_than: 2d}\n")
    done = run(app, ["advisories", "--json"])
    assert done.exit_code == 1
    old, gone = json.loads(done.stdout)
    assert (old["too_old"], old["records"]) == (True, 1)
    assert (gone["records"], gone["note"]) == (None, f"there is no file or folder {project}/gone")


def test_no_data_are_said_to_be_none(project: Path) -> None:
    names(project, "")
    assert "No environment names advisory data" in run(app, ["advisories"]).stdout


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("ftp://example.org/all.zip", "expected a path, or an address of http or https"),
        (
            "https://ann:secret@example.org/all.zip",
            "found one with them, expected an address without user and password",
        ),
    ],
)
def test_a_mistake_is_one_sentence_without_the_password(project: Path, place: str, expected: str) -> None:
    names(project, f"advisories: {{osv: ['{place}']}}\n")
    done = run(app, ["advisories"])
    assert done.exit_code == 1
    assert expected in done.output
    assert "production.yaml: advisories.osv[0]" in done.output
    assert "secret" not in done.output


def test_an_environment_that_is_none_is_refused(project: Path) -> None:
    names(project, "")
    assert "There is no environment prod in" in run(app, ["advisories", "prod"]).output
