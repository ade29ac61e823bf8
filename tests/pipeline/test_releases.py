"""Whole releases: what runs in the end, what the run says, and that both agree (R9)."""

from __future__ import annotations

from release_pipelines.hooks.history import HistoryHook
from tests.fakes import GOOD, NEW
from tests.pipeline.conftest import Releases


def test_a_good_version_is_released(releases: Releases) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("success", "released"), done.sentence
    assert releases.production.tracks["stable"].digest == NEW
    assert set(releases.production.tracks) == {"stable"}
    assert releases.production.weight == 0
    assert releases.production.lease is None
    assert releases.staging.lease is None
    assert [what[0] for call, what in releases.production.writes if call == "split"] == [10, 50, 100, 50, 0, 0]
    detail = HistoryHook().history().releases("shop")[0]
    assert detail.outcome == "released"
    assert detail.requester == "dag_test"
