"""The key `scan` of an app's file: which tasks it makes, and where they stand."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from release_pipelines.features.scan import FEATURE
from release_pipelines.pipeline.release import release_dag
from release_pipelines.spec.loader import SpecError
from release_pipelines.spec.release import load_release

CONFIG = Path(__file__).parents[3] / "include" / "config"

ALL = """
name: shop
build: {repository: shop}
scan:
  scanners: [hadolint, semgrep, trivy]
  image_scanners: [trivy, secrets]
  sarif: [{name: codeql, command: [codeql, analyze], report: out.sarif}]
  ecr: {connection: aws, wait: 10m}
  limits: {semgrep: {timeout: 20m, memory: 2Gi}, trivy: {memory: 1Gi}}
"""


def dag_of(tmp_path: Path, text: str) -> DAG:
    (tmp_path / "shop.yaml").write_text(text)
    return release_dag(load_release(tmp_path / "shop.yaml", CONFIG, tmp_path / "analyses"))


def test_the_source_is_scanned_beside_the_build_and_the_image_side_by_side_before_anything_is_deployed(
    tmp_path: Path,
) -> None:
    dag = dag_of(tmp_path, ALL)
    names = {it.task_id for it in dag.tasks if "scan" in it.task_id}
    source = {"scan.hadolint", "scan.semgrep", "scan.trivy", "scan.codeql"}
    image = {"image_scan.trivy", "image_scan.secrets", "image_scan.ecr"}
    assert names == source | image
    for name in source:
        assert dag.get_task(name).upstream_task_ids == dag.get_task("build.build_image").upstream_task_ids
    for name in image:
        assert dag.get_task(name).upstream_task_ids == {"artifact"}
        assert dag.get_task(name).downstream_task_ids == {"findings_gate"}
    gate: Any = dag.get_task("findings_gate")
    assert gate.downstream_task_ids == {"staging.take_lease"}
    kept = ["hadolint", "semgrep", "trivy", "codeql", "image-trivy", "image-secrets", "image-ecr"]
    assert gate.scanners == kept, "one that has kept nothing counts as unknown"


def test_operators_get_what_the_file_says(tmp_path: Path) -> None:
    dag = dag_of(tmp_path, ALL)
    semgrep: Any = dag.get_task("scan.semgrep")
    assert (semgrep.limits.timeout, semgrep.limits.memory) == (1200, 2 << 30)
    trivy: Any = dag.get_task("image_scan.trivy")
    assert (trivy.limits.timeout, trivy.limits.memory, trivy.block_on) == (300, 1 << 30, None)
    assert "artifact" in trivy.digest
    assert "preflight" in trivy.release
    ecr: Any = dag.get_task("image_scan.ecr")
    assert (ecr.aws_conn_id, ecr.wait) == ("aws", 600)
    codeql: Any = dag.get_task("scan.codeql")
    assert (codeql.scanner.name, codeql.scanner.command) == ("codeql", ["codeql", "analyze"])


def test_an_app_that_asks_for_nothing_has_the_scans_of_before(tmp_path: Path) -> None:
    dag = dag_of(tmp_path, "name: shop\nbuild: {repository: shop}\n")
    assert {it.task_id for it in dag.tasks if "scan" in it.task_id} == {"scan.hadolint", "scan.bandit"}


def test_an_image_that_was_built_elsewhere_can_be_scanned(tmp_path: Path) -> None:
    dag = dag_of(tmp_path, "name: shop\nscan: {image_scanners: [grype]}\n")
    assert {it.task_id for it in dag.tasks if "scan" in it.task_id} == {"image_scan.grype"}


def test_the_summary_names_all(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(ALL)
    spec = load_release(tmp_path / "shop.yaml", CONFIG, tmp_path / "analyses")
    assert FEATURE.summary(spec) == (
        "scanned by hadolint, semgrep, trivy, codeql, image scanned by trivy, secrets, ecr"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{image_scanners: [nope]}", "trivy"),
        ("{image_scanners: [trivy, trivy]}", "found `trivy` twice"),
        ("{sarif: [{name: bandit, command: [a], report: b}]}", "found `bandit` twice"),
        ("{limits: {semgrep: {timeout: 1m}}}", "found `semgrep`"),
        ("{limits: {bandit: {timeout: 0}}}", "limits"),
        ("{limits: {bandit: {memory: lots}}}", "512Mi"),
        ("{sarif: [{name: a, command: [], report: b}]}", "command"),
    ],
)
def test_mistakes_are_said_in_a_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=sentence):
        dag_of(tmp_path, f"name: shop\nbuild: {{repository: shop}}\nscan: {text}\n")


def test_lists_of_the_environment_are_those_that_an_app_asks_for_and_a_path_of_its_own_counts_before(
    tmp_path: Path,
) -> None:
    config = tmp_path / "config"
    shutil.copytree(CONFIG, config)
    with (config / "base.yaml").open("a") as base:
        base.write("advisories: {kev: /feeds/kev, epss: /feeds/epss}\n")
    scan = "scan: {known_exploited: true, epss: {at_least: 10%}}"
    (tmp_path / "shop.yaml").write_text(f"name: shop\nbuild: {{repository: shop}}\n{scan}\n")
    gate: Any = release_dag(load_release(tmp_path / "shop.yaml", config, tmp_path / "analyses")).get_task(
        "findings_gate"
    )
    assert (gate.rules.known_exploited, gate.rules.epss.data) == ("/feeds/kev", "/feeds/epss")
    (tmp_path / "shop.yaml").write_text("name: shop\nbuild: {repository: shop}\nscan: {known_exploited: /mine.json}\n")
    gate = release_dag(load_release(tmp_path / "shop.yaml", config, tmp_path / "analyses")).get_task("findings_gate")
    assert gate.rules.known_exploited == "/mine.json"


def test_a_scan_that_an_app_leaves_out_is_not_missed(tmp_path: Path) -> None:
    text = "name: shop\nbuild: {repository: shop}\nscan: {only_fixable: true}\nleave_out: [scan.bandit]\n"
    gate: Any = dag_of(tmp_path, text).get_task("findings_gate")
    assert gate.scanners == ["hadolint"]


def test_scanners_without_a_source_are_told_of_and_stop_nobody(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("name: shop\nscan: {scanners: [bandit]}\n")
    spec = load_release(tmp_path / "shop.yaml", CONFIG, tmp_path / "analyses")
    assert [it for it in FEATURE.remarks(spec) if "look at nothing" in it]
    (tmp_path / "shop.yaml").write_text("name: shop\n")
    assert list(FEATURE.remarks(load_release(tmp_path / "shop.yaml", CONFIG, tmp_path / "analyses"))) == []


CONTAINERS = "{scanners: [hadolint, bandit], image_scanners: [trivy], containers: {hadolint: 'tools/hadolint:2', trivy: 'tools/trivy:1'}}"


def test_a_scanner_runs_in_the_container_that_the_app_names(tmp_path: Path) -> None:
    dag = dag_of(tmp_path, f"name: shop\nbuild: {{repository: shop}}\nscan: {CONTAINERS}\n")
    inside: Any = {it.task_id: it for it in dag.tasks}
    for task, image in (("scan.hadolint", "tools/hadolint:2"), ("image_scan.trivy", "tools/trivy:1")):
        assert inside[task].container == image
        assert inside[task].engine_conn_id == "sandbox_engine"
    assert inside["scan.bandit"].container is None


@pytest.mark.parametrize(
    ("scan", "place", "expected"),
    [
        ("{scanners: [bandit], containers: {bandit: x}}", "scan.containers.bandit", "this one runs on the worker"),
        ("{image_scanners: [secrets], containers: {secrets: x}}", None, ""),
        (
            "{scanners: [hadolint], containers: {semgrep: x}}",
            "scan",
            "expected containers of scanners that run (hadolint)",
        ),
    ],
)
def test_a_container_is_for_a_scanner_whose_program_is_all_that_it_needs(
    scan: str, place: str | None, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "shop.yaml").write_text(f"name: shop\nbuild: {{repository: shop}}\nscan: {scan}\n")
    if place is None:
        load_release(tmp_path / "shop.yaml", CONFIG, tmp_path / "analyses")
        return
    with pytest.raises(SpecError) as mistake:
        load_release(tmp_path / "shop.yaml", CONFIG, tmp_path / "analyses")
    assert place in str(mistake.value)
    assert expected in str(mistake.value)
