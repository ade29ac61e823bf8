"""Whole releases with ready-made stages, and a policy that asks for what one of them found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import GOOD, NEW
from tests.pipeline.conftest import Releases

WEB = "stages: [{name: web, after: staging.smoke_test, web_security: {block_on: BLOCK}}]\npolicies: [looked]\n"
LOOKED = 'package release\ndeny contains "the app tells whole addresses" if {\n  some it in input.findings\n  it.rule == "referrer-policy"\n}\n'


@pytest.mark.parametrize("releases", [WEB.replace("BLOCK", "medium")], indirect=True)
def test_what_a_stage_finds_in_staging_ends_the_release_and_reverts_staging(
    releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEASE_PIPELINES_POLICIES", str(tmp_path))
    (tmp_path / "looked.rego").write_text(LOOKED)
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert done.states["staging.web"] == "failed"
    assert "like x-content-type-options in /" in done.sentence
    assert releases.staging.tracks["stable"].digest == GOOD


@pytest.mark.parametrize("releases", [WEB.replace("BLOCK", "high")], indirect=True)
def test_a_policy_asks_for_what_a_stage_found(
    releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEASE_PIPELINES_POLICIES", str(tmp_path))
    (tmp_path / "looked.rego").write_text(LOOKED)
    releases.runs("1.0.0")
    stopped = releases.release("1.1.0")
    assert "looked: the app tells whole addresses." in stopped.sentence
    assert stopped.states["before_production.policy"] == "failed"
    (tmp_path / "looked.rego").write_text(
        LOOKED.replace("referrer-policy", "certificate").replace("findings", "findings")
    )
    done = releases.release("1.1.0")
    assert done.outcome == "released", done.sentence
    assert releases.production.tracks["stable"].digest == NEW
