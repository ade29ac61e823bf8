"""A verdict needs a report of its own: whatever a program says, ends with, or has left there before."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters import tools
from release_pipelines.adapters.image_scanners.grype import Grype
from release_pipelines.adapters.image_scanners.secrets import Secrets
from release_pipelines.adapters.image_scanners.trivy import Trivy as ImageTrivy
from release_pipelines.adapters.scanners.bandit import Bandit
from release_pipelines.adapters.scanners.checkov import Checkov
from release_pipelines.adapters.scanners.gitleaks import Gitleaks
from release_pipelines.adapters.scanners.semgrep import Semgrep
from release_pipelines.adapters.scanners.trivy import Trivy
from release_pipelines.adapters.scanners.trivy_config import TrivyConfig
from release_pipelines.core.model.finding import ScanResult
from release_pipelines.core.model.limits import Limits
from tests.images import Layout

Stand = Callable[[str, str], None]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Puts a shell script in the place of a program; ``$report`` is where its report shall go."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("SEMGREP_RULES", "rules.yml")

    def put(program: str, script: str) -> None:
        find = (
            'report=; before=; for it in "$@"; do case "$before" in --output|--report-path) report="${it#json=}";; '
            '--output-file-path) report="$it/results_json.json";; esac; '
            'case "$before$it" in --output*cyclonedx*) ;; esac; before="$it"; done\n'
        )
        (folder / program).write_text(f"#!/bin/sh\n{find}{script}\n")
        (folder / program).chmod(0o755)

    return put


SOURCE: dict[str, Any] = {
    "semgrep": Semgrep(),
    "gitleaks": Gitleaks(),
    "trivy": Trivy(),
    "trivy_config": TrivyConfig(),
    "checkov": Checkov(),
    "bandit": Bandit(),
}
IMAGES: dict[str, Any] = {"trivy": ImageTrivy(), "grype": Grype(), "secrets": Secrets()}
TROUBLE = {
    "it crashes with a code that others use for findings": "exit 1",
    "it ends well and says nothing": "exit 0",
    "it is killed": "kill -9 $$",
    "its report is empty": ': >"$report"; exit 0',
    "its report is half": """printf '{"results": [' >"$report"; exit 0""",
    "its report is of another program": """printf '{"hello": 1}' >"$report"; exit 0""",
    "its report is no object": "printf '7' >\"$report\"; exit 0",
    "it says that it is asked too often": "echo 'FATAL TOOMANYREQUESTS' >&2; exit 1",
}


def scanned(name: str, tmp_path: Path, **limits: Any) -> ScanResult:
    kind, _, scanner = name.partition(":")
    if kind == "source":
        folder = tmp_path / "source"
        folder.mkdir()
        (folder / "a.py").write_text("x = 1\n")
        it = SOURCE[scanner]
        return (it.within(Limits(**limits)) if limits else it).scan(folder, "Dockerfile")
    layout = Layout(tmp_path / "layout")
    image = layout.image({"a.txt": "a"})
    it = IMAGES[scanner]
    return (it.within(Limits(**limits)) if limits else it).scan_image(layout.names(image), image)


PROGRAMS = {"trivy_config": "trivy", "secrets": "gitleaks"}
ALL = [*(f"source:{it}" for it in SOURCE), *(f"image:{it}" for it in IMAGES)]


def program_of(name: str) -> str:
    scanner = name.partition(":")[2]
    return PROGRAMS.get(scanner, scanner)


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("name", ALL)
def test_a_program_that_has_not_looked_is_never_clean(name: str, trouble: str, stand_in: Stand, tmp_path: Path) -> None:
    version = (
        """[ "$1" = version ] && { echo '{"Version": "1"}'; exit 0; }; [ "$1" = db ] && { echo '{}'; exit 0; }\n"""
    )
    stand_in(program_of(name), version + TROUBLE[trouble])
    result = scanned(name, tmp_path)
    assert result.status == "unknown"
    assert result.sentence.startswith(f"unknown: {name.partition(':')[2]} could not look, because ")
    assert result.again == ("asked too often" in trouble and name != "source:bandit")


@pytest.mark.parametrize("name", ALL)
def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started(
    name: str, stand_in: Stand, tmp_path: Path
) -> None:
    stand_in(program_of(name), f"echo $$ >{tmp_path}/pid; sleep 600 & sleep 600")
    result = scanned(name, tmp_path, timeout=2)  # in which it begins, on a busy machine, too
    assert "it took longer than 2 s" in result.sentence
    session = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 10
    while tools._resident(session) and time.monotonic() < end:
        time.sleep(0.01)
    assert tools._resident(session) == 0


def test_a_report_of_an_earlier_run_is_never_read(stand_in: Stand, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    clean = {"SchemaVersion": 2, "Results": [{"Target": "a", "Class": "lang-pkgs", "Packages": [{"Name": "a"}]}]}
    for place in (source, tmp_path):
        (place / "trivy.json").write_text(json.dumps(clean))
        (place / "report.json").write_text(json.dumps(clean))
    stand_in("trivy", "[ \"$1\" = version ] && { echo '{}'; exit 0; }\necho 'FATAL TOOMANYREQUESTS: rate' >&2; exit 1")
    result = Trivy().scan(source, "Dockerfile")
    assert (result.status, result.again) == ("unknown", True)
    assert "TOOMANYREQUESTS" in result.sentence


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ("INF 0 commits scanned.\\nINF scanned ~0 bytes (0) in 1ms\\nINF no leaks found", "it looked at no commit"),
        ("ERR [git] fatal: not a git repository\\nINF scanned ~10 bytes (10 bytes) in 1ms", "not a git repository"),
        ("INF scanned ~0 bytes (0) in 1ms\\nINF no leaks found", "it looked at nothing"),
        ("INF no leaks found", "it looked at nothing"),
        ("WRN skipping file: too large\\nINF scanned ~10 bytes (10 bytes) in 1ms", "skipping file"),
    ],
)
def test_gitleaks_that_has_looked_at_nothing_or_not_at_all_is_unknown(
    says: str, why: str, stand_in: Stand, tmp_path: Path
) -> None:
    stand_in("gitleaks", f"printf '{says}\\n' >&2; echo '[]' >\"$report\"; exit 0")
    result = scanned("source:gitleaks", tmp_path)
    assert (result.status, why in result.sentence) == ("unknown", True)


REPORTS = {
    "a file that took too long": ({"errors": [{"type": "Timeout", "path": "app/big.py"}]}, "app/big.py (Timeout)"),
    "a file that it left out": (
        {"paths": {"scanned": ["a.py"], "skipped": [{"path": "app/big.py", "reason": "exceeded_size_limit"}]}},
        "app/big.py (exceeded size limit)",
    ),
    "a reason that is not known": (
        {"paths": {"scanned": ["a.py"], "skipped": [{"path": "b.py", "reason": "new_reason"}]}},
        "b.py (new reason)",
    ),
    "a rule that is broken": ({"errors": [{"type": "InvalidRuleSchemaError"}]}, "a rule (InvalidRuleSchemaError)"),
    "no file": ({"paths": {"scanned": []}}, "it found no file that one of its rules is about"),
    "rules left out": ({"skipped_rules": [{"rule_id": "a"}]}, "it left out 1 of its rules"),
}


@pytest.mark.parametrize("what", REPORTS)
def test_semgrep_that_gave_something_up_is_unknown_and_names_it(what: str, stand_in: Stand, tmp_path: Path) -> None:
    change, why = REPORTS[what]
    report = {"results": [], "errors": [], "paths": {"scanned": ["a.py"]}, **change}
    stand_in("semgrep", f"cat >\"$report\" <<'E'\n{json.dumps(report)}\nE\nexit 0")
    result = scanned("source:semgrep", tmp_path)
    assert (result.status, why in result.sentence) == ("unknown", True)


def test_semgrep_without_rules_is_unknown(stand_in: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEMGREP_RULES")
    stand_in("semgrep", "exit 0")
    result = scanned("source:semgrep", tmp_path)
    assert (result.status, "there are no rules" in result.sentence) == ("unknown", True)


def test_checkov_that_could_not_parse_a_file_is_unknown_and_names_it(stand_in: Stand, tmp_path: Path) -> None:
    summary = {"passed": 1, "failed": 0, "skipped": 0, "parsing_errors": 1}
    report = {"results": {"failed_checks": [], "parsing_errors": ["/k8s/pod.yaml"]}, "summary": summary}
    stand_in("checkov", f"echo '{json.dumps(report)}' >\"$report\"; exit 0")
    result = scanned("source:checkov", tmp_path)
    assert (result.status, "it could not parse k8s/pod.yaml" in result.sentence) == ("unknown", True)


def test_checkov_that_found_nothing_of_its_kinds_is_unknown(stand_in: Stand, tmp_path: Path) -> None:
    stand_in("checkov", """echo '{"passed": 0, "failed": 0, "skipped": 0}' >"$report"; exit 0""")
    assert scanned("source:checkov", tmp_path).status == "unknown"


def test_severities_that_checkov_does_not_give_are_unknown(stand_in: Stand, tmp_path: Path) -> None:
    check = {"check_id": "CKV_1", "check_name": "no", "severity": None, "file_path": "/a", "file_line_range": [1, 2]}
    checks = [check, {**check, "severity": "HIGH"}, {**check, "severity": "SOMETHING"}]
    summary = {"passed": 1, "failed": 3, "skipped": 0, "parsing_errors": 0}
    report = {"results": {"failed_checks": checks}, "summary": summary}
    stand_in("checkov", f"echo '{json.dumps(report)}' >\"$report\"; exit 1")
    result = scanned("source:checkov", tmp_path)
    assert [it.severity for it in result.findings] == ["unknown", "high", "unknown"]


def test_trivy_that_complains_of_a_file_is_unknown(stand_in: Stand, tmp_path: Path) -> None:
    report = {"SchemaVersion": 2, "Results": [{"Target": "a", "Class": "config", "Misconfigurations": []}]}
    complaint = "printf '2026\\tERROR\\t[dockerfile scanner] Failed to parse file\\tfile_path=\"Dockerfile\"\\n' >&2"
    stand_in("trivy", f"echo '{json.dumps(report)}' >\"$report\"; {complaint}; exit 0")
    result = scanned("source:trivy_config", tmp_path)
    assert (result.status, "Failed to parse file" in result.sentence) == ("unknown", True)


def test_a_report_of_another_image_is_unknown(stand_in: Stand, tmp_path: Path) -> None:
    report = {"SchemaVersion": 2, "Metadata": {"ImageID": "sha256:" + "0" * 64}, "Results": []}
    version = "[ \"$1\" = version ] && { echo '{}'; exit 0; }\n"
    stand_in("trivy", f"{version}echo '{json.dumps(report)}' >\"$report\"; exit 0")
    result = scanned("image:trivy", tmp_path)
    assert (result.status, "its report is about sha256:000" in result.sentence) == ("unknown", True)


def test_what_a_worker_keeps_secret_is_not_given_to_programs(
    stand_in: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "k3y")
    monkeypatch.setenv("RELEASE_PIPELINES_HISTORY", "postgresql://k3y")
    stand_in("semgrep", "env >&2; exit 3")
    done = tools.run(["semgrep"], tmp_path, Limits())
    assert b"k3y" not in done.errors
    assert done.code == 3


@pytest.mark.parametrize(
    ("distro", "alerts", "components", "why"),
    [
        ({"name": "alpine", "version": "3.8.0"}, ["distro-eol"], ["pkg:apk/alpine/a@1"], "alpine 3.8.0 gets no security updates"),
        ({"name": "alpine", "version": "3.22.0"}, ["new-kind"], ["pkg:apk/alpine/a@1"], "it warns of new-kind"),
        ({"name": "debian", "version": "12"}, [], ["pkg:pypi/a@1"], "debian 12 has no list of its packages"),
        ({}, [], [], "nothing could be identified"),
    ],
)  # fmt: skip
def test_what_grype_says_of_a_system_decides_whether_it_could_look(
    distro: dict[str, str], alerts: list[str], components: list[str], why: str, stand_in: Stand, tmp_path: Path
) -> None:
    layout = Layout(tmp_path / "layout")
    image = layout.image({"a.txt": "a"})
    report = {
        "matches": [],
        "source": {"target": {"manifestDigest": image.digest}},
        "distro": distro,
        "alertsByPackage": [{"alerts": [{"type": it} for it in alerts]}],
    }
    packages = {"components": [{"type": "library", "purl": it} for it in components]}
    writes = "".join(
        f'cat >"$(dirname "$one")/{name}.json" <<\'E\'\n{json.dumps(it)}\nE\n'
        for name, it in (("report", report), ("packages", packages))
    )
    find = 'for it in "$@"; do case "$it" in json=*) one="${it#json=}";; esac; done\n'
    stand_in("grype", f"[ \"$1\" = db ] && {{ echo '{{}}'; exit 0; }}\n{find}{writes}exit 0")
    result = Grype().scan_image(layout.names(image), image)
    assert (result.status, why in result.sentence) == ("unknown", True), result.sentence
