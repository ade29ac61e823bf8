"""The example DAG that lists an image and looks it up, run as it stands: only its folders are others, and the registry is a fake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.sdk import DAG

from release_pipelines.adapters import sbom
from release_pipelines.airflow.hooks.registry import RegistryHook
from tests.oci_layouts import LayoutRegistry, debian, make_layout
from tests.pipeline.conftest import Released

FILE = Path(__file__).parents[2] / "dags" / "examples" / "image_flaws.py"
pytestmark = pytest.mark.skipif(sbom.missing() is not None, reason="syft is not installed: the example was not run")


@pytest.fixture
def example(_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DAG:
    from airflow import settings
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(settings, "DAGS_FOLDER", str(tmp_path / "no_dags"))
    layout = tmp_path / "image"
    made = LayoutRegistry(f"sha256:{'1' * 64}", {layout: make_layout(layout, [debian(torch="2.5.1+cu124")])})
    monkeypatch.setattr(RegistryHook, "get_conn", lambda _: made)
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(dag_folder=str(FILE))
    dag = bag.dags["image_flaws"]
    dag.task_dict["sbom"].folder = str(tmp_path / "sboms")  # type: ignore[attr-defined]
    looking = dag.task_dict["advisories"]
    looking.sources = looking.sources.model_copy(update={"osv": [str(tmp_path / "osv")], "older_than": None})  # type: ignore[attr-defined]
    for task in dag.tasks:
        task.retries = 0
    sync_bag_to_db(bag, "dags-folder", None)
    return dag


def write_records(tmp_path: Path, fixed: str) -> None:
    (tmp_path / "osv").mkdir()
    for ecosystem, name in (("PyPI", "torch"), ("npm", "other"), ("Debian:13", "other")):
        events = [{"introduced": "0"}, {"fixed": fixed}]
        entry = {"package": {"ecosystem": ecosystem, "name": name}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
        record = {"id": f"A-{ecosystem}-{name}", "modified": "2026-11-01T00:00:00Z", "affected": [entry]}
        (tmp_path / "osv" / f"{ecosystem.replace(':', '-')}.json").write_text(json.dumps(record))


def test_an_image_without_known_flaws_passes_and_is_listed(example: DAG, tmp_path: Path) -> None:
    write_records(tmp_path, "2.0")
    done = Released(example.test(run_conf={"version": "1.1.0"}))
    assert done.state == "success"
    assert done.pushed("advisories")["status"] == "clean"
    assert {it.name for it in (tmp_path / "sboms").iterdir()} == {"sbom.cdx.json", "sbom.spdx.json"}


def test_one_with_a_known_flaw_fails(example: DAG, tmp_path: Path) -> None:
    write_records(tmp_path, "2.6.0")
    done = Released(example.test(run_conf={"version": "1.1.0"}))
    assert done.states["advisories"] == "failed"
    assert "A-PyPI-torch on linux/amd64: torch 2.5.1+cu124" in done.pushed("advisories", "reason")
