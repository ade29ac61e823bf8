"""`release policy`: what policies say of an earlier release, and what is wrong with a policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from release_pipelines.adapters.history import History, open_history
from release_pipelines.airflow.findings import keep_results
from release_pipelines.cli import app
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.finding import ScanResult
from tests.policies import DIGEST, evidence
from tests.spec.conftest import BASE

run = CliRunner().invoke
SHOP = "name: shop\nstrategy: canary\nanalysis: {metrics: [{name: errors, source: errors, limit: 1%}]}\n"
LOOKED = 'package release\ndeny contains "nobody looked" if {\n  some s in input.scans\n  s.status == "unknown"\n}\n'


@pytest.fixture(autouse=True)
def history(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> History:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/history.db")
    for name in ("apps", "config", "policies"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"RELEASE_PIPELINES_{name.upper()}", str(tmp_path / name))
    (tmp_path / "apps" / "shop.yaml").write_text(SHOP)
    (tmp_path / "config" / "base.yaml").write_text(BASE)
    (tmp_path / "config" / "staging.yaml").write_text("name: staging\n")
    (tmp_path / "config" / "production.yaml").write_text("name: production\npolicies: [looked]\n")
    (tmp_path / "policies" / "looked.rego").write_text(LOOKED)
    made = open_history(f"sqlite:///{tmp_path}/history.db")
    made.begin("r1", "shop", "release_shop", "r1", "1.1.0", "alice")
    made.record_artifact("r1", Artifact(app="shop", version="1.1.0", image="registry.example/shop", digest=DIGEST))
    return made


def test_an_earlier_release_is_asked_about_as_the_policies_are_now(history: History, tmp_path: Path) -> None:
    failed = run(app, ["policy", "shop", "1.1.0"])
    assert failed.exit_code == 1
    assert "unknown: The evidence has no scans, which looked.rego:3 asks for." in failed.stdout
    keep_results(history, "r1", "trivy", [ScanResult(status="clean", sentence="clean")])
    passed = run(app, ["policy", "shop", "--json"])
    assert passed.exit_code == 0, passed.stderr
    told = json.loads(passed.stdout)
    assert (told["status"], told["rules"]) == ("passed", 1)
    (tmp_path / "policies" / "looked.rego").write_text(LOOKED.replace('"unknown"', '"clean"'))
    denied = run(app, ["policy", "shop"])
    assert (denied.exit_code, denied.stdout.splitlines()[0]) == (1, "denied: looked: nobody looked.")


def test_the_document_that_a_release_was_judged_by_is_asked_about(history: History) -> None:
    history.attach("r1", "policy-production.json", "application/json", json.dumps(evidence()))
    assert run(app, ["policy", "shop"]).exit_code == 0


def test_an_author_is_told_what_a_policy_needs_and_what_is_wrong(tmp_path: Path) -> None:
    policy = tmp_path / "policies" / "looked.rego"
    fine = run(app, ["policy", "--check", str(policy)])
    assert (fine.exit_code, fine.stdout) == (0, "looked: 1 rule. It needs scans.\n")
    policy.write_text(LOOKED.replace("package release", "package releases"))
    wrong = run(app, ["policy", "--check", str(policy)])
    assert wrong.exit_code == 1
    assert "No rule answered: looked.rego says `package releases`, asked was data.release.deny." in wrong.stdout
    told = json.loads(run(app, ["policy", "--check", str(policy), "--json"]).stdout)
    assert (told["rules"], len(told["mistakes"])) == (0, 1)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ('{"rule": "r"} if { true }', "looked.rego:2: its message has no `message`"),
        ('x if { x := {"rule": "r"} }', "looked.rego:2: its message has no `message`"),
        ('{"message": "a", "severity": 1} if { true }', "looked.rego:2: its message has `severity`"),
        ("7 if { true }", "looked.rego:2: its message is neither a text nor an object"),
        ('["a"] if { true }', "looked.rego:2: its message is neither a text nor an object"),
        ('{"message": " "} if { true }', "looked.rego:2: its message says nothing"),
    ],
)
def test_an_author_is_told_of_a_message_that_nobody_can_read(tmp_path: Path, head: str, said: str) -> None:
    policy = tmp_path / "policies" / "looked.rego"
    policy.write_text(f"package release\ndeny contains {head}\n")
    wrong = run(app, ["policy", "--check", str(policy)])
    assert wrong.exit_code == 1
    assert f"{said}, so its answers will be unknown" in wrong.stdout


@pytest.mark.parametrize(
    "head",
    [
        '"no" if { true }',
        '{"rule": "r", "message": "no"} if { true }',
        'sprintf("%v", [x]) if { x := input.app }',
        '{"message": m, "evidence": 1} if { m := concat(" ", ["a", "b"]) }',
        'x if { some x in ["a", "b"] }',
    ],
)
def test_a_message_that_can_be_read_is_no_mistake(tmp_path: Path, head: str) -> None:
    policy = tmp_path / "policies" / "looked.rego"
    policy.write_text(f"package release\ndeny contains {head}\n")
    fine = run(app, ["policy", "--check", str(policy)])
    assert (fine.exit_code, "unknown" in fine.stdout) == (0, False), fine.output


def test_an_author_asks_about_a_document(tmp_path: Path) -> None:
    policy, document = tmp_path / "policies" / "looked.rego", tmp_path / "evidence.json"
    document.write_text(json.dumps(evidence()))
    assert run(app, ["policy", "--check", str(policy), "--evidence", str(document)]).exit_code == 0
    document.write_text("{")
    assert "cannot be read as JSON" in run(app, ["policy", "--check", str(policy), "--evidence", str(document)]).stderr


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ([], "An app is expected, or --check with a policy."),
        (["shop", "--check", "a.rego"], "an app and --check do not go together"),
        (["shop", "--evidence", "a.json"], "--evidence goes with --check"),
        (["cart"], "cart has no file in"),
        (["shop", "9.9.9"], "9.9.9"),
        (["--check", "nowhere.rego"], "There is no nowhere.rego"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(asked: list[str], sentence: str) -> None:
    failed = run(app, ["policy", *asked])
    assert failed.exit_code == 1
    assert sentence in failed.stderr


def test_an_app_without_policies_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "config" / "production.yaml").write_text("name: production\n")
    failed = run(app, ["policy", "shop"])
    assert failed.stderr == (
        "shop keeps to no policy in production: `policies` in production.yaml, or in its own file, names them.\n"
    )
