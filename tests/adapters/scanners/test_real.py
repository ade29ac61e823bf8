"""Real programs on real files, where this machine has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from release_pipelines.adapters.scanners.checkov import Checkov
from release_pipelines.adapters.scanners.gitleaks import Gitleaks
from release_pipelines.adapters.scanners.semgrep import Semgrep
from release_pipelines.adapters.scanners.trivy import Trivy
from release_pipelines.adapters.scanners.trivy_config import TrivyConfig
from release_pipelines.core.model.limits import Limits
from tests.advisories import trivy_cache, trivy_environment
from tests.tools import needs

RULES = """rules:
- {id: no-eval, languages: [python], severity: ERROR, message: eval of input, pattern: eval(...)}
"""
TOKEN = "ghp_" + "k9Jd03Lf9sQq2Xw7Vb5Nz1Tc6Yh4Gm8Re2Up"  # made up, and of the form of a real one
POD = """apiVersion: v1
kind: Pod
metadata: {name: a}
spec:
  containers:
  - {name: a, image: "a:latest", securityContext: {privileged: true}}
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)


@needs("semgrep")
def test_semgrep_looks_with_the_rules_of_the_source(source: Path) -> None:
    (source / ".semgrep.yml").write_text(RULES)
    write(source, a_py="def f(x):\n    return eval(x)\n")
    result = Semgrep().scan(source, "Dockerfile")
    [finding] = result.findings
    assert (finding.severity, finding.file, finding.line) == ("high", "a.py", 2)
    assert finding.rule.endswith("no-eval")
    write(source, a_py="def f(x):\n    return x\n")
    assert Semgrep().scan(source, "Dockerfile").status == "clean"


@needs("semgrep")
def test_a_file_that_semgrep_gives_up_is_unknown_and_named(source: Path) -> None:
    (source / ".semgrep.yml").write_text(RULES.replace("eval(...)", "$A = eval(...); ...; $B = eval(...)"))
    write(source, big_py="x = eval(1)\n" * 200_000)
    result = Semgrep().within(Limits(timeout=120)).scan(source, "Dockerfile")
    assert (result.status, "big.py" in result.sentence or "took longer" in result.sentence) == ("unknown", True)


@needs("gitleaks")
def test_gitleaks_finds_a_key_and_does_not_tell_it(source: Path) -> None:
    write(source, a_txt=f"token = {TOKEN}\n")
    result = Gitleaks().scan(source, "Dockerfile")
    [finding] = result.findings
    assert (finding.kind, finding.severity, finding.file, finding.line) == ("secret", "critical", "a.txt", 1)
    assert TOKEN not in result.model_dump_json()
    assert "only a new key helps" in result.sentence
    write(source, a_txt="nothing\n")
    assert Gitleaks().scan(source, "Dockerfile").status == "clean"


@needs("gitleaks")
def test_gitleaks_in_an_empty_folder_has_looked_at_nothing(source: Path) -> None:
    assert Gitleaks().scan(source, "Dockerfile").status == "unknown"


@needs("trivy")
def test_trivy_finds_misconfiguration_without_a_database(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, it in trivy_environment(tmp_path / "cache").items():
        monkeypatch.setenv(name, it)
    write(source, Dockerfile="FROM python:3.12-slim\nUSER root\nCMD python3\n", pod_yaml=POD)
    result = TrivyConfig().scan(source, "Dockerfile")
    worst = {(it.file, it.rule): it.severity for it in result.findings}
    assert worst["Dockerfile", "AVD-DS-0002"] == "high"
    assert worst["pod.yaml", "AVD-KSV-0017"] == "high"
    write(source, Dockerfile="FROM a\n{{ x }}\n")
    assert TrivyConfig().scan(source, "Dockerfile").status == "unknown"


@needs("trivy")
def test_trivy_without_anything_to_look_at_is_unknown(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, it in trivy_environment(tmp_path / "cache").items():
        monkeypatch.setenv(name, it)
    write(source, a_txt="a")
    assert "no file of a kind that it knows" in TrivyConfig().scan(source, "Dockerfile").sentence


@needs("trivy", "bolt")
def test_trivy_finds_a_dependency_of_the_source(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, it in trivy_cache(tmp_path / "cache", 1_790_000_000.0).items():
        monkeypatch.setenv(name, it)
    write(source, requirements_txt="requests==2.19.0\n")
    result = Trivy().scan(source, "Dockerfile")
    [finding] = result.findings
    assert (finding.rule, finding.component, finding.file) == (
        "CVE-2018-18074",
        "pkg:pypi/requests@2.19.0",
        "requirements.txt",
    )
    assert result.data_at == 1_790_000_000.0
    write(source, requirements_txt="requests==2.20.0\n")
    assert Trivy().scan(source, "Dockerfile").status == "clean"
    (source / "requirements.txt").unlink()
    assert "no lock file" in Trivy().scan(source, "Dockerfile").sentence


@needs("checkov")
def test_what_checkov_finds_has_no_severity_that_anybody_knows(source: Path) -> None:
    write(source, Dockerfile="FROM python:3.12-slim\nUSER root\nCMD python3\n", pod_yaml=POD)
    result = Checkov().within(Limits(timeout=120)).scan(source, "Dockerfile")
    assert result.status == "findings", result.sentence
    assert {it.severity for it in result.findings} == {"unknown"}
    assert {it.file for it in result.findings} == {"Dockerfile", "pod.yaml"}
