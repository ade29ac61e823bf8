"""Policies in a release: asked before anything is deployed, before production, after the approval, and never before a rollback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.adapters.history import History, open_history
from release_pipelines.airflow.findings import keep_results
from release_pipelines.airflow.policies import Setting, asked_about, collected, keep_part
from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.evidence import checked
from release_pipelines.core.model.finding import Finding, ScanResult
from release_pipelines.features.policy.operators import PolicyOperator
from release_pipelines.pipeline.plan import ReleasePlan
from release_pipelines.spec.feature import Slot
from release_pipelines.spec.loader import SpecError
from release_pipelines.spec.policies import demanded
from release_pipelines.spec.release import ReleaseSpec, load_release
from tests.features.helpers import Ti
from tests.policies import DIGEST, evidence

HIGH = 'package release\ndeny contains "it is bad" if { some f in input.findings; f.severity == "high" }\n'
SETTING = Setting("production", "canary", ["web"], ["hours"])
ARTIFACT = Artifact(app="shop", version="1.1.0", image="registry.example/shop", digest=DIGEST, commit="c" * 40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "policies"
    made.mkdir()
    (made / "high.rego").write_text(HIGH)
    return made


def run(folder: Path, **more: Any) -> tuple[Any, Ti]:
    ti = Ti()
    operator = PolicyOperator(
        **{"task_id": "policy", "policies": ["high"], "evidence": evidence(), "folder": folder, **more}
    )
    try:
        return operator.execute({"ti": ti}), ti  # type: ignore[arg-type,typeddict-item]
    except AirflowFailException as error:
        return str(error), ti


def test_the_operator_alone_fails_on_what_a_policy_says_and_hands_the_ruling_on(folder: Path) -> None:
    failure, ti = run(folder)
    assert failure == "high: it is bad."
    assert ti.pushed["reason"] == failure
    assert ti.pushed["result"]["status"] == "denied"
    passed, _ = run(folder, evidence=json.dumps(evidence(findings=[])))
    assert (passed["status"], passed["rules"]) == ("passed", 1)


def test_the_operator_takes_waivers_and_refuses_what_is_no_evidence(folder: Path) -> None:
    waiver = {"app": "shop", "rule": "high", "reason": "known", "until": "2999-01-01", "who": "carol"}
    passed, _ = run(folder, waivers=[waiver])
    assert "Waived: high: it is bad (known, until 2999-01-01, by carol)." in passed["sentence"]
    assert run(folder, waivers=[{**waiver, "until": "2026-01-01"}])[0].endswith(
        "its waiver by carol ended on 2026-01-01."
    )
    assert "until does not fit" in run(folder, waivers=[{**waiver, "until": "soon"}])[0]
    assert run(folder, evidence="")[0] == "evidence is missing: the task that gives it has not run, or gave nothing."
    assert run(folder, evidence="[]")[0] == "evidence is a document with keys, found list."
    assert run(folder, evidence={})[0].startswith("The evidence has no at: its schema demands it.")


@pytest.fixture
def history(tmp_path: Path) -> History:
    made = open_history(f"sqlite:///{tmp_path}/history.db")
    for release in ("first", "second"):
        made.begin(release, "shop", "release_shop", release, "1.1.0", "alice")
        made.record_artifact(release, ARTIFACT)
    return made


def put_together(history: History, release: str = "second") -> dict[str, Any]:
    before = {"version": "1.0.0", "digest": "sha256:" + "0" * 64, "commit": None}
    preflight = {"requester": "alice", "urgent_reason": "", "before": before}
    return collected(
        history, release, ARTIFACT, SETTING, preflight, {"Smoke test in staging": "passed"}, now=1_000_100.0
    )


def test_the_evidence_is_what_the_history_knows_and_nothing_else(history: History) -> None:
    document = checked(put_together(history))
    assert document["serving"]["version"] == "1.0.0"
    assert document["tests"] == {"Smoke test in staging": "passed"}
    assert (document["requester"], document["urgent"], document["tags"]) == ("alice", None, ["web"])
    assert not {"scans", "findings", "builder", "provenance", "sbom", "licences", "approval"} & document.keys()


def test_scans_of_the_release_and_of_earlier_ones_of_its_digest_are_evidence(history: History) -> None:
    found = Finding(severity="high", rule="CVE-1", text="bad", kind="vulnerability")
    keep_results(history, "first", "bandit", [ScanResult(status="clean", sentence="clean")])
    keep_results(history, "first", "trivy", [ScanResult(status="clean", sentence="clean")])
    history.finish("first", "released", "Released.")
    results = [
        ScanResult(status="findings", findings=[found], sentence="one", subject=DIGEST, data_at=1_000_000.0),
        ScanResult(status="unknown", sentence="no data for linux/arm64", data_at=1_000_050.0),
    ]
    keep_results(history, "second", "trivy", results)
    document = checked(put_together(history))
    assert document["scans"]["trivy"]["status"] == "unknown"
    assert document["scans"]["trivy"]["data_age"] == 100.0
    assert document["scans"]["trivy"]["counts"]["high"] == 1
    assert document["scans"]["bandit"]["status"] == "clean"
    assert [it["rule"] for it in document["findings"]] == ["CVE-1"]


def test_parts_that_are_true_of_a_digest_are_kept_for_its_next_release(history: History) -> None:
    provenance = {"verified": True, "builder": "ci", "source": None, "commit": "c" * 40}
    keep_part(history, "first", "provenance", provenance)
    keep_part(history, "first", "facts", {"load": "fine"})
    history.finish("first", "released", "Released.")
    document = checked(put_together(history))
    assert document["builder"] == {"id": "ci"}
    assert "facts" not in document  # it was true of that release
    with pytest.raises(ValueError, match="A part of the evidence is one of"):
        keep_part(history, "first", "anything", {})


def test_what_was_let_pass_is_excepted_in_its_component_and_nowhere_else(history: History) -> None:
    def found(component: str, aliases: list[str]) -> Finding:
        return Finding(
            severity="high", rule="GHSA-1", aliases=aliases, text="bad", kind="vulnerability", component=component
        )

    ours, other = found("pkg:npm/a@1.0.0", ["CVE-1"]), found("pkg:npm/b@2.0.0", ["CVE-1"])
    keep_results(history, "second", "trivy", [ScanResult(status="findings", findings=[ours, other], sentence="two")])
    result = {
        "ruleId": "CVE-1",
        "suppressions": [{"justification": "shop.yaml: not reachable"}],
        "properties": {"names": ["CVE-1", "GHSA-1"], "component": "pkg:npm/a@1.0.0"},
    }
    history.attach("second", "findings.sarif", "application/sarif+json", json.dumps({"runs": [{"results": [result]}]}))
    document = checked(put_together(history))
    assert [it["excepted"] for it in document["findings"]] == ["shop.yaml: not reachable", None]


def test_sboms_and_verified_keys_of_a_release_are_evidence(history: History) -> None:
    for platform, components in {"amd64": [{}, {}], "arm64": [{}]}.items():
        content = json.dumps({"components": components})
        history.attach("second", f"sbom-linux-{platform}.cdx.json", "application/vnd.cyclonedx+json", content)
    history.record_event("second", "attested", "Verified.", "production", {"digest": DIGEST, "keys": ["ci"]})
    history.record_event("second", "attested", "Signed.", None, {"digest": "sha256:" + "f" * 64, "keys": ["mallory"]})
    document = checked(put_together(history))
    assert document["sbom"] == {"format": "cyclonedx", "components": 3}
    assert document["signatures"] == [{"by": "ci", "verified": True}]


APP = """
name: shop
environments: [staging, production]
strategy: canary
analysis: {metrics: [{name: errors, source: errors, limit: 1%}]}
"""
BASE = """
platform: container_host
connections: {platform: p, registry: r, prometheus: m}
router: {kind: traefik}
address: {url: "http://127.0.0.1"}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Any:
    def made(app: str = "", production: str = "", staging: str = "") -> ReleaseSpec:
        config = tmp_path / "config"
        config.mkdir(exist_ok=True)
        (config / "base.yaml").write_text(BASE)
        (config / "staging.yaml").write_text(f"name: staging\n{staging}")
        (config / "production.yaml").write_text(f"name: production\napprovers: [bob]\n{production}")
        (tmp_path / "shop.yaml").write_text(APP + app)
        return load_release(tmp_path / "shop.yaml", config, tmp_path)

    return made


def places(spec: ReleaseSpec) -> list[tuple[str, Slot]]:
    return [(it.id, it.slot) for it in ReleasePlan(spec).tasks if "policy" in it.id]


def test_files_that_name_no_policy_have_no_task_for_it(spec: Any) -> None:
    assert places(spec()) == []


def test_policies_are_asked_early_before_the_approval_and_after_it(spec: Any) -> None:
    assert places(spec(production="policies: [high]")) == [
        ("policy", Slot.JUDGE),
        ("before_production.policy", Slot.BEFORE_ENVIRONMENT),
        ("policy_after_approval", Slot.AFTER_APPROVAL),
    ]
    plan = ReleasePlan(spec(production="policies: [high]"))
    assert "before_production.policy" in plan.facts()["Policies"]


def test_an_environment_before_the_last_has_policies_of_its_own(spec: Any) -> None:
    assert places(spec(staging="policies: [high]")) == [("before_staging.policy", Slot.BEFORE_ENVIRONMENT)]


def test_an_app_adds_policies_and_takes_none_away(spec: Any) -> None:
    from release_pipelines.spec.policies import policies_of

    made = spec(app="policies: [own]", production="policies: [high]")
    assert policies_of(made, "production") == ["high", "own"]


def test_no_task_of_a_way_back_asks_a_policy(spec: Any) -> None:
    plan = ReleasePlan(spec(production="policies: [high]"))
    back = [it for it in plan.tasks if it.slot in (Slot.ROLLBACK, Slot.REVERT, Slot.RETURN_LEASE)]
    assert back
    assert not [it for it in back if "policy" in it.id]


def test_a_policy_that_is_not_there_stops_a_release_in_preflight(
    spec: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from release_pipelines.features.policy import FEATURE

    monkeypatch.setenv("RELEASE_PIPELINES_POLICIES", str(folder))
    assert list(FEATURE.preflight(spec(production="policies: [high]"))) == []
    [problem] = FEATURE.preflight(spec(production="policies: [hihg]"))
    assert problem.sentence == "No rule answered: hihg has no file that ends in .rego, asked was data.release.deny."
    assert not problem.urgent


def test_what_policies_demand_is_known_before_a_release(spec: Any, folder: Path) -> None:
    (folder / "own.rego").write_text(
        'package release\ndeny contains "untested" if input.tests["Smoke test in staging"] != "passed"\n'
    )
    made = spec(app="policies: [own]", production="policies: [high]")
    assert demanded(made, folder) == {"findings", "tests.Smoke test in staging"}
    (folder / "own.rego").write_text("package releases\n")
    with pytest.raises(ReleaseError, match="package releases"):
        demanded(made, folder)


def test_a_file_that_cannot_be_read_is_a_sentence(folder: Path) -> None:
    (folder / "high.rego").write_bytes(b"\xff\xfe")
    with pytest.raises(ReleaseError, match="cannot be read"):
        asked_about(evidence(), ["high"], folder=folder)


def test_a_task_that_a_policy_asks_for_by_name_cannot_be_left_out(
    spec: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEASE_PIPELINES_POLICIES", str(folder))
    left_out = "leave_out: [smoke_test]\n"
    assert spec(app=left_out, production="policies: [high]")
    (folder / "high.rego").write_text(
        'package release\ndeny contains "untested" if input.tests["Smoke test in staging"] != "passed"\n'
    )
    with pytest.raises(SpecError, match=r"`staging\.smoke_test`, which a policy demands"):
        spec(app=left_out, production="policies: [high]")
    with pytest.raises(SpecError, match="policy"):
        spec(app="leave_out: [before_production.policy]\n", production="policies: [high]")
