"""Images looked up in advisories, alone in anyone's DAG."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.adapters import sbom
from release_pipelines.airflow.findings import kept_results
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.features.advisories.operators import AdvisoryScanOperator
from tests.features.helpers import Ti
from tests.oci_layouts import LayoutRegistry, debian, make_layout

pytestmark = pytest.mark.skipif(sbom.missing() is not None, reason="syft is not installed: no image was looked up")
INDEX = f"sha256:{'1' * 64}"
CRITICAL = [{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:N/SA:N"}]
LOW = [{"type": "Ubuntu", "score": "low"}]


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/history.db")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LayoutRegistry:
    """An index whose arm64 image alone has torch 2.5.1."""
    images = {
        tmp_path / "amd64": make_layout(tmp_path / "amd64", [debian(torch="2.6.0")], "amd64"),
        tmp_path / "arm64": make_layout(tmp_path / "arm64", [debian(torch="2.5.1+cu124")], "arm64"),
    }
    made = LayoutRegistry(INDEX, images)
    monkeypatch.setattr(RegistryHook, "get_conn", lambda _: made)
    return made


def osv(tmp_path: Path, severity: Any, *ecosystems: str) -> list[str]:
    folder = tmp_path / "osv"
    folder.mkdir()
    at = datetime.fromtimestamp(time.time(), timezone.utc).isoformat()
    for name in ecosystems:
        entry = {"package": {"ecosystem": name, "name": "other"}, "versions": ["1.0"]}
        (folder / f"{name.replace(':', '-')}.json").write_text(
            json.dumps({"id": name, "modified": at, "affected": [entry]})
        )
    events = [{"introduced": "0"}, {"fixed": "2.6.0"}]
    entry = {"package": {"ecosystem": "PyPI", "name": "torch"}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
    record = {"id": "GHSA-1", "modified": at, "affected": [entry], "severity": severity, "summary": "Runs code."}
    (folder / "torch.json").write_text(json.dumps(record))
    return [str(folder)]


def done(ti: Ti, **arguments: Any) -> Any:
    what = {} if "sbom" in arguments else {"image": "shop", "digest": INDEX}
    operator = AdvisoryScanOperator(task_id="advisories", **what, **arguments)
    try:
        return operator.execute({"ti": ti})  # type: ignore[arg-type,typeddict-item]
    except AirflowFailException as error:
        return error


def test_a_flaw_of_one_platform_fails_and_names_it(index: LayoutRegistry, tmp_path: Path) -> None:
    HistoryHook().history().begin("release_shop/1", "shop", "release_shop", "1", "1.1.0", "ann")
    ti = Ti()
    failure = done(ti, osv=osv(tmp_path, CRITICAL, "Debian:13", "npm"), release="release_shop/1")
    assert (
        "advisories found 1 critical (findings from high on block), like GHSA-1 on linux/arm64: torch 2.5.1+cu124"
        in str(failure)
    )
    assert "(fixed in 2.6.0)" in str(failure)
    assert (ti.pushed["result"]["status"], ti.pushed["result"]["counts"]) == ("findings", {"critical": 1})
    kept = kept_results(HistoryHook().history(), "release_shop/1")["advisories"]
    assert [(it.subject, it.status) for it in kept] == [
        (image.digest, status) for image, status in zip(index.images.values(), ("clean", "findings"), strict=True)
    ]


def test_milder_findings_pass_and_are_counted(index: LayoutRegistry, tmp_path: Path) -> None:
    result = done(Ti(), osv=osv(tmp_path, LOW, "Debian:13", "npm"))
    assert (result["status"], result["counts"]) == ("findings", {"low": 1})
    assert result["data_at"] is not None


def test_a_severity_that_nobody_can_say_blocks(index: LayoutRegistry, tmp_path: Path) -> None:
    assert "1 of unknown severity" in str(done(Ti(), osv=osv(tmp_path, [], "Debian:13", "npm")))


def test_what_could_not_be_looked_up_fails_and_is_named(index: LayoutRegistry, tmp_path: Path) -> None:
    ti = Ti()
    failure = done(ti, osv=osv(tmp_path, LOW, "Debian:13"))
    assert "no advisory of npm is in the data for lodash 4.17.0" in str(failure)
    assert ti.pushed["result"]["status"] == "unknown"


def test_old_data_fail(index: LayoutRegistry, tmp_path: Path) -> None:
    where = osv(tmp_path, LOW, "Debian:13", "npm")
    for it in Path(where[0]).iterdir():
        it.write_text(json.dumps({**json.loads(it.read_text()), "modified": "2020-01-01T00:00:00Z"}))
    assert "48 h old at most is allowed" in str(done(Ti(), osv=where, older_than="2d"))


def test_an_sbom_that_somebody_else_made_is_looked_up(tmp_path: Path) -> None:
    purl = {"referenceType": "purl", "referenceLocator": "pkg:pypi/torch@2.5.1%2Bcpu"}
    packages = [{"name": "torch", "versionInfo": "2.5.1+cpu", "externalRefs": [purl]}]
    (tmp_path / "sbom.json").write_text(json.dumps({"spdxVersion": "SPDX-2.3", "packages": packages}))
    where = osv(tmp_path, CRITICAL)
    failure = done(Ti(), sbom=str(tmp_path / "sbom.json"), osv=where)
    assert "advisories found 1 critical (findings from high on block), like GHSA-1: torch 2.5.1+cpu" in str(failure)
    (tmp_path / "sbom.json").write_text("{}")
    assert "is no SBOM that can be read: CycloneDX JSON" in str(done(Ti(), sbom=str(tmp_path / "sbom.json"), osv=where))
    assert "cannot be read: No such file" in str(done(Ti(), sbom=str(tmp_path / "gone.json"), osv=where))


def test_an_sbom_with_nothing_in_it_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "sbom.json").write_text('{"bomFormat": "CycloneDX", "specVersion": "1.6"}')
    ti = Ti()
    assert "there are no components to look up" in str(
        done(ti, sbom=str(tmp_path / "sbom.json"), osv=osv(tmp_path, LOW))
    )
    assert ti.pushed["result"]["status"] == "unknown"


def test_an_address_with_a_password_is_refused() -> None:
    with pytest.raises(ValueError, match="an address without user and password is expected") as caught:
        AdvisoryScanOperator(task_id="x", image="shop", digest=INDEX, osv=["https://ann:secret@example.org/all.zip"])
    assert "secret" not in str(caught.value)
