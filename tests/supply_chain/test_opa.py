"""OPA answers the shipped policies as the engine here does."""

from __future__ import annotations

import json
import subprocess
from datetime import date
from pathlib import Path

from release_pipelines.adapters.policies.folder import names_in, policies_in
from release_pipelines.adapters.policies.rego import Rego
from release_pipelines.core.policies.asking import rule_on
from tests.policies import evidence
from tests.tools import needs, program

TODAY = date(2026, 11, 27)
POLICIES = Path(__file__).parents[2] / "include" / "policies"


@needs("opa")
def test_opa_and_the_engine_here_agree() -> None:
    opa = str(program("opa"))
    builder = {"id": "https://builder.example.org/ci"}
    provenance = {"verified": True, "builder": builder["id"], "source": None, "commit": "b" * 40}
    good = {"builder": builder, "provenance": provenance, "commit": "b" * 40, "findings": [], "signatures": []}
    for document in (
        evidence(**good),
        evidence(**{**good, "commit": "c" * 40}),
        evidence(**{**good, "builder": {"id": "mallory"}, "findings": evidence()["findings"]}),
    ):
        for policy in policies_in(POLICIES, names_in(POLICIES)):
            ours = rule_on(Rego(), [policy], {}, document, today=TODAY).answers[0]
            files = [it for name in policy.files for it in ("--data", str(POLICIES / name))]
            done = subprocess.run(
                [opa, "eval", "--stdin-input", "--format=json", *files, "data.release.deny"],
                input=json.dumps(document),
                capture_output=True,
                text=True,
                check=True,
            )
            theirs = json.loads(done.stdout)["result"][0]["expressions"][0]["value"]
            assert not ours.unasked
            assert sorted(it.message for it in ours.denials) == sorted(it["message"] for it in theirs)
