"""An app whose releases have stages of the team's own, do without some of ours, and have others elsewhere."""

from __future__ import annotations

import pytest

from release_pipelines.airflow.hooks.history import HistoryHook
from tests.fakes import NEW
from tests.pipeline.conftest import Releases

K6 = f"k6@{NEW}"
STAGES = f"""
stages:
  - {{name: load, after: staging.smoke_test, container: {{image: "{K6}", command: [k6, run, "{{version}}"]}}, keep_output: true}}
  - {{name: compare, after: staging.load, container: {{command: [compare, "{{stages.load.p95}}"], env: {{P95: "{{stages.load.p95}} ms"}}}}}}
leave_out: [integration_test]
"""


@pytest.mark.parametrize("releases", [STAGES], indirect=True)
def test_stages_run_where_the_file_puts_them_and_hand_on_what_they_found(releases: Releases) -> None:
    releases.runs("1.0.0")
    releases.staging.printed = 'running\n{"p95": 120, "errors": 0}'
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("success", "released"), done.sentence
    load, compare = releases.staging.ran
    assert load[:2] == (K6, ["k6", "run", "1.1.0"])
    assert compare[0].endswith(f"shop@{NEW}")
    assert compare[1] == ["compare", "120"]
    assert compare[2]["P95"] == "120 ms"
    assert compare[2]["VERSION"] == "1.1.0"
    assert done.pushed("staging.load", "image") == K6
    assert "staging.integration_test" not in done.states
    detail = HistoryHook().history().releases("shop")[0]
    [kept] = [it for it in HistoryHook().history().attachments(detail.id) if it.name == "stage-load.txt"]
    assert kept.content == 'running\n{"p95": 120, "errors": 0}'
