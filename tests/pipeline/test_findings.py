"""Findings gate a release, and never a rollback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.providers.standard.operators.hitl import HITLOperator

from release_pipelines.adapters.history import History
from release_pipelines.airflow.findings import keep_results
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.finding import ScanResult
from tests.core.findings.findings import A, B, flaw, found, unknown
from tests.fakes import GOOD, NEW
from tests.pipeline.conftest import Released, Releases

EXCEPTION = "{id: CVE-1, component: 'pkg:npm/package-a', reason: not reached, until: UNTIL, who: ada}"
GATED = f"scan: {{exceptions: [{EXCEPTION.replace('UNTIL', '2999-12-31')}]}}\n"
EXPIRED = f"scan: {{exceptions: [{EXCEPTION.replace('UNTIL', '2020-01-01')}]}}\n"
EXAMPLE = Path(__file__).parents[2] / "dags" / "examples" / "findings.py"


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says what a scanner finds in a digest: it is kept as soon as the release knows the digest, as a scanner keeps it."""
    results: dict[str, ScanResult] = {}
    really = History.record_artifact

    def recorded(self: History, release: str, artifact: Artifact) -> None:
        really(self, release, artifact)
        if artifact.digest in results:
            keep_results(self, release, "trivy", [results[artifact.digest]])

    monkeypatch.setattr(History, "record_artifact", recorded)

    def says(digest: str, *findings: Any, result: ScanResult | None = None) -> None:
        results[digest] = result or found(*findings)

    return says


@pytest.mark.parametrize("releases", [""], indirect=True)
def test_without_a_key_that_asks_for_it_there_is_no_gate(releases: Releases, scanned: Callable[..., None]) -> None:
    scanned(NEW, flaw("CVE-1", severity="critical"))
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert done.outcome == "released", done.sentence
    assert "findings_gate" not in done.states


@pytest.mark.parametrize("releases", [GATED], indirect=True)
def test_a_finding_stops_a_release_before_anything_is_deployed(
    releases: Releases, scanned: Callable[..., None]
) -> None:
    scanned(NEW, flaw("CVE-1", A), flaw("CVE-2", B, fixed_in="2.0.1"))
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert done.state == "failed"
    assert (
        "The scanners found 1 high (findings from high on stop the release), like CVE-2 in package-b 2.0.0"
        in done.sentence
    )
    assert releases.staging.writes == []
    report = [
        it
        for it in HistoryHook().history().attachments(done.pushed("preflight")["release"])
        if it.name == "findings.sarif"
    ]
    states = {it["ruleId"]: "suppressions" in it for it in json.loads(report[0].content)["runs"][0]["results"]}
    assert states == {"CVE-1": True, "CVE-2": False}


@pytest.mark.parametrize("releases", [GATED], indirect=True)
def test_an_excepted_finding_is_released_and_the_approver_sees_it_and_what_is_new(
    releases: Releases, scanned: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned(GOOD, flaw("CVE-3", A, "low"), flaw("CVE-4", A, "low"))
    releases.runs("1.0.0")
    scanned(NEW, flaw("CVE-1", A), flaw("CVE-4", A, "low"))
    forms: list[str] = []
    really = HITLOperator.execute

    def answered(operator: Any, context: Any) -> Any:
        forms.append(operator.body)
        return really(operator, context)

    monkeypatch.setattr(HITLOperator, "execute", answered)
    done = releases.release("1.1.0")
    assert done.outcome == "released", done.sentence
    (form,) = forms
    assert "| Findings | The scanners found 1 high, 1 low, 1 of them excepted. |" in form
    assert (
        "| Excepted findings | high: CVE-1 in package-a 1.0.0, by scan.exceptions[0] (not reached (ada, until 2999-12-31)) |"
        in form
    )
    assert "| New findings | high: CVE-1 in package-a 1.0.0: Bad; no fix is named |" in form
    assert "| Fixed findings | low: CVE-3 in package-a 1.0.0 |" in form
    assert "| Older findings | 1 low, not new: 1.0.0 serves with it |" in form
    assert "| Findings of what serves | nothing is known against it |" in form


@pytest.mark.parametrize("releases", [EXPIRED], indirect=True)
def test_an_exception_that_ran_out_blocks_a_release_and_no_rollback(
    releases: Releases, scanned: Callable[..., None]
) -> None:
    releases.runs("1.0.0")
    scanned(NEW)
    assert releases.release("1.1.0").outcome == "released"
    scanned(GOOD, flaw("CVE-1", A, "critical"))
    refused = releases.release("1.0.0")
    assert (
        "`scan.exceptions[0]`, for CVE-1 in pkg:npm/package-a, has run out on 2020-01-01"
        in refused.pushed("preflight")["uses"]
    )
    assert refused.state == "failed"
    assert "the exception in scan.exceptions[0] has run out" in refused.sentence
    back = releases.roll_back(app="shop", reason="prices are wrong")
    assert (back.state, back.outcome) == ("success", "rolled_back"), back.sentence
    assert releases.production.tracks["stable"].digest == GOOD


@pytest.mark.parametrize("releases", [GATED], indirect=True)
def test_a_version_that_fails_goes_back_to_one_with_findings_of_today(
    releases: Releases, scanned: Callable[..., None]
) -> None:
    scanned(GOOD, flaw("CVE-9", A, "critical"))
    releases.runs("1.0.0")
    scanned(NEW)
    releases.outside.bad = 0.05
    done = releases.release("1.1.0")
    assert done.outcome == "rolled_back", done.sentence
    assert releases.production.tracks["stable"].digest == GOOD
    (told,) = (
        it
        for it in HistoryHook().history().attachments(done.pushed("preflight")["release"])
        if it.name == "incident.md"
    )
    assert "1.0.0 serves, and would be stopped as a release today" in told.content
    assert "CVE-9" in told.content


@pytest.mark.parametrize("releases", [GATED], indirect=True)
def test_what_could_not_be_looked_at_stops_a_release_and_no_rollback(
    releases: Releases, scanned: Callable[..., None]
) -> None:
    scanned(GOOD, result=unknown())
    releases.runs("1.0.0")
    scanned(NEW)
    assert releases.release("1.1.0").outcome == "released"
    assert "trivy could not look" in releases.release("1.0.0").sentence
    assert releases.roll_back(app="shop", reason="prices are wrong").outcome == "rolled_back"


@pytest.mark.parametrize("releases", [GATED], indirect=True)
def test_no_way_back_leads_through_the_gate(releases: Releases) -> None:
    for dag in (releases.dag, releases.others["release_rollback"]):
        gates = {it for it in dag.task_ids if "findings" in it}
        back = {it for it in dag.task_ids if "roll" in it}
        assert back
        assert not any(gates & set(dag.get_task(it).upstream_task_ids) for it in back)
    assert not any("findings" in it for it in releases.others["release_rollback"].task_ids)


def report(*results: dict[str, Any]) -> str:
    rules = [{"id": "B602", "defaultConfiguration": {"level": "error"}}]
    runs = [{"tool": {"driver": {"name": "semgrep", "rules": rules}}, "results": list(results)}]
    return json.dumps({"version": "2.1.0", "runs": runs})


def result(file: str) -> dict[str, Any]:
    place = {"physicalLocation": {"artifactLocation": {"uri": file}, "region": {"startLine": 3}}}
    return {"ruleIndex": 0, "ruleId": "B602", "message": {"text": "Shell."}, "locations": [place]}


def test_the_example_judges_reports_of_any_tool(releases: Releases, tmp_path: Path) -> None:
    bag = DagBag(dag_folder=str(EXAMPLE))
    sync_bag_to_db(bag, "dags-folder", None)

    def judged() -> Released:
        return Released(bag.dags["findings"].test(run_conf={"reports": str(tmp_path)}))

    assert "semgrep has not looked" in judged().pushed("judge", "reason")
    (tmp_path / "semgrep.sarif").write_text(report(result("scripts/backup.py")))
    done = judged()
    assert done.state == "success"
    assert done.pushed("judge")["sentence"] == "The scanners found 1 high, 1 of them excepted."
    (tmp_path / "semgrep.sarif").write_text(report(result("app.py")))
    assert "like B602 in app.py:3: Shell" in judged().pushed("judge", "reason")
