"""Whole releases that policies are asked about."""

from __future__ import annotations

from pathlib import Path

import pytest

from release_pipelines.airflow.hooks.history import HistoryHook
from tests.fakes import GOOD, NEW
from tests.pipeline.conftest import Releases

NAMED = "policies: [named]\n"
OTHERS = 'package release\ndeny contains {"rule": "who", "message": msg} if {\n  input.version == "1.1.0"\n  msg := sprintf("%s is not wanted", [input.version])\n}\n'
TESTED = 'package release\ndeny contains "staging was not tested" if input.tests["Smoke test in staging"] != "passed"\n'
APPROVED = 'package release\ndeny contains "alice did not approve it" if input.approval.by != "alice"\n'
NOBODY = 'package release\ndeny contains "nothing may be released" if input.app\n'


@pytest.fixture
def policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    monkeypatch.setenv("RELEASE_PIPELINES_POLICIES", str(folder))
    return folder


@pytest.mark.parametrize("releases", [NAMED], indirect=True)
def test_a_denial_stops_a_release_before_anything_is_deployed(releases: Releases, policies: Path) -> None:
    (policies / "named.rego").write_text(OTHERS)
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert (done.outcome, done.states["policy"]) == ("failed", "failed")
    assert "named.who: 1.1.0 is not wanted" in done.sentence
    assert releases.staging.tracks["stable"].digest == GOOD
    assert releases.production.tracks["stable"].digest == GOOD


@pytest.mark.parametrize("releases", [NAMED], indirect=True)
def test_what_passes_is_released_and_the_ruling_is_kept(releases: Releases, policies: Path) -> None:
    (policies / "named.rego").write_text(TESTED)
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert done.outcome == "released", done.sentence
    assert "named is asked later, when tests" in done.pushed("policy")["sentence"]
    assert done.pushed("before_production.policy")["rules"] == 1
    history = HistoryHook().history()
    detail = history.release(history.releases("shop")[0].id)
    assert [it.environment for it in detail.events if it.kind == "policy"] == ["production"] * 3
    assert "policy-production.json" in [it.name for it in history.attachments(detail.id)]


@pytest.mark.parametrize("releases", [NAMED], indirect=True)
def test_who_approved_is_asked_after_the_approval_and_production_is_not_touched(
    releases: Releases, policies: Path
) -> None:
    (policies / "named.rego").write_text(APPROVED)
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert done.states["policy_after_approval"] == "failed"
    assert (done.outcome, "named: alice did not approve it" in done.sentence) == ("failed", True)
    assert releases.production.writes == []
    assert releases.staging.tracks["stable"].digest == GOOD  # went back


@pytest.mark.parametrize("releases", [NAMED], indirect=True)
def test_a_rollback_is_never_asked_about(releases: Releases, policies: Path) -> None:
    """Neither the release's own nor a person's, whatever the policies say by then."""
    (policies / "named.rego").write_text(TESTED)
    releases.runs("1.0.0")
    assert releases.release("1.1.0").outcome == "released"
    assert releases.production.tracks["stable"].digest == NEW
    (policies / "named.rego").write_text(NOBODY)
    back = releases.roll_back(app="shop", reason="wrong prices")
    assert back.state == "success"
    assert releases.production.tracks["stable"].digest == GOOD
    assert releases.release("1.1.0").outcome == "failed"  # forward it is asked


@pytest.mark.parametrize("releases", [NAMED], indirect=True)
def test_a_releases_own_rollback_goes_on_when_the_policies_turn_against_everything(
    releases: Releases, policies: Path
) -> None:
    (policies / "named.rego").write_text(TESTED)
    releases.runs("1.0.0")
    releases.outside.bad = 0.2
    releases.when(
        lambda world: world.route is not None and world.route.traffic.weight("canary") == 10,
        lambda: (policies / "named.rego").write_text(NOBODY),
    )
    done = releases.release("1.1.0")
    assert done.outcome == "rolled_back", done.sentence
    assert releases.production.tracks["stable"].digest == GOOD
