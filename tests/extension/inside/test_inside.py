"""Seen from inside a process in which ``acme_release`` is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.errors import ExtensionError
from release_pipelines.core.ports.notifier import NOTIFIERS
from release_pipelines.core.ports.own_stage import OWN_STAGES
from release_pipelines.core.ports.router import ROUTERS
from release_pipelines.core.ports.strategy import STRATEGIES
from release_pipelines.core.seams import Seam
from release_pipelines.pipeline.release import dag_errors, release_dag, release_dags
from release_pipelines.spec.feature import FEATURES
from release_pipelines.spec.loader import SpecError
from release_pipelines.spec.release import load_release
from release_pipelines.spec.schema import schemas
from tests.pipeline.conftest import Releases


def test_the_schemas_have_all_that_is_added() -> None:
    app, environment = (json.loads(schemas()[f"{name}.schema.json"]) for name in ("app", "environment"))
    assert "todo" in app["$defs"]["ScanSpec"]["properties"]["scanners"]["items"]["enum"]
    assert "queue_depth" in json.dumps(app["$defs"]["Metric"]["properties"]["source"])
    assert set(app["$defs"]["Ticket"]["properties"]) == {"queue", "risk"}
    assert "edge" in environment["$defs"]["RouterSettings"]["properties"]["kind"]["enum"]
    assert "board" in environment["$defs"]["NotifySpec"]["properties"]["kind"]["enum"]


def test_a_good_release_uses_all_of_it(releases: Releases, built: None, asked: list[str], board: Path) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert (done.outcome, done.sentence[:15]) == ("released", "Released 1.1.0:")
    assert done.states["scan.todo"] == done.states["before_production.open_ticket"] == "success"
    assert done.states["revert_before_production_open_ticket"] == "skipped"

    uses = done.pushed("preflight")["uses"]
    assert uses == (
        "canary on container_host by router edge; judged by threshold: errors, jobs (queue_depth); "
        f"told to log, board file={board}; scanned by todo; announced in CHG"
    )
    [form] = asked
    assert f"| Preflight | {uses} |" in form
    assert "| Scan by todo | todo found 1. |" in form
    assert "| Change ticket | CHG-1 |" in form
    assert "jobs that wait ≤ 10" in form

    release = HistoryHook().history().find("shop")
    told = [(it.kind, it.sentence) for it in release.events]
    assert ("checked", uses) in told
    assert ("ticket", "opened in CHG") in told
    assert ("notified", f"board file={board}: released") in told
    jobs = [it for verdict in release.verdicts for it in verdict.metrics if it.metric == "jobs"]
    assert {it.sentence for it in jobs} == {"jobs that wait 3, limit 10"}
    assert any("edge_requests_total" in query for query, _ in releases.outside.asked)
    assert board.read_text() == "shop 1.1.0 in production: released\n"


def test_what_a_feature_has_done_is_reverted_when_the_release_goes_back(releases: Releases, built: None) -> None:
    releases.runs("1.0.0")
    releases.outside.bad = 0.05
    done = releases.release("1.1.0")
    assert done.outcome == "rolled_back"
    assert done.states["revert_before_production_open_ticket"] == "success"
    events = [it.sentence for it in HistoryHook().history().find("shop").events if it.kind == "ticket"]
    assert events == ["opened in CHG", "closed"]


def test_a_rejected_release_reverts_it_too(releases: Releases, built: None) -> None:
    releases.runs("1.0.0")
    releases.answer = "Reject"
    done = releases.release("1.1.0")
    assert done.outcome == "rejected"
    assert done.states["revert_before_production_open_ticket"] == "success"


@pytest.mark.parametrize("files", ["approval: {self_approval: true}\n"], indirect=True)
def test_preflight_asks_the_feature(releases: Releases) -> None:
    file = releases.apps / "shop.yaml"
    file.write_text(file.read_text().replace("queue: CHG", "queue: closed"))
    dag = release_dag(load_release(file, releases.config, releases.apps))
    preflight = dag.task_dict["preflight"]
    with pytest.raises(Exception, match=r"^The queue of change tickets is closed\. To release all the same give"):
        preflight._ask_features("")  # type: ignore[attr-defined]


STAGES = """
stages:
  - {name: purge, after: production.step_10, evidence: Cache, cdn_purge: {zone: "{app}-{version}"FAILS}}
  - {name: first_purge, after: staging.smoke_test, cdn_purge: {zone: staging}}
leave_out: [integration_test]
move: {scan.todo: {before: build.build_image}}
"""


@pytest.mark.parametrize("files", [STAGES.replace("FAILS", "")], indirect=True)
def test_a_stage_of_its_kind_runs_while_another_is_left_out_and_one_moved(
    releases: Releases, built: None, asked: list[str]
) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert (done.outcome, done.sentence[:15]) == ("released", "Released 1.1.0:")
    events = [it.sentence for it in HistoryHook().history().find("shop").events if it.kind == "purged"]
    assert events == ["zone staging", "zone shop-1.1.0"]
    assert done.pushed("production.purge")["values"] == {"pages": 3}
    assert "staging.integration_test" not in done.states
    dag = releases.dag
    assert dag.get_task("build.build_image").upstream_task_ids == {"scan.todo"}
    assert dag.get_task("scan.todo").upstream_task_ids == {"resolve_commit"}
    assert dag.get_task("production.step_50").upstream_task_ids >= {"production.purge"}
    [form] = asked
    assert "| First purge | passed: 3 pages |" in form


@pytest.mark.parametrize("files", [STAGES.replace("FAILS", ", fails: true")], indirect=True)
def test_a_stage_of_its_kind_that_fails_in_mid_canary_rolls_back(releases: Releases, built: None) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert done.outcome == "rolled_back"
    assert "zone shop-1.1.0 is locked" in done.sentence


@pytest.mark.parametrize(
    "files", [STAGES.replace("FAILS", "").replace("zone: staging", "zone: staging, fails: true")], indirect=True
)
def test_a_stage_of_its_kind_that_fails_before_rolls_staging_back(releases: Releases, built: None) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert done.outcome == "failed"
    assert done.states["roll_back_staging"] == "success"
    assert releases.production.writes == []


MISTAKES = {
    "stages: [{name: purge, before: approval, cdn_purge: {zone: all}}]": (
        "stages[0].cdn_purge.zone: found `all`, expected one zone: this is production"
    ),
    "stages: [{name: purge, before: approval, cdn_purge: {zones: all}}]": "stages[0].cdn_purge.zone",
    "stages: [{name: purge, before: approval, number: 3}]": (
        "stages[0].number: found one that cannot: The own_stage `number` of package acme-release is int: an instance of OwnStage"
    ),
    "change_ticket: {queue: CHG, risk: middle}": "change_ticket.risk: found `middle`, expected one of `low`, `high`",
    "change_ticket: {queue: CHG, risk: high}\napproval: {self_approval: true}": (
        "change_ticket.risk: found `high`, expected `low`, where people approve their own releases"
    ),
    "change_ticket: {}": "change_ticket.queue: found nothing, expected a value: this key is required",
    "chaos: {monkeys: 3}": "chaos: found one that cannot: The feature `chaos` of package acme-release cannot be loaded",
}


@pytest.mark.parametrize(("text", "sentence"), MISTAKES.items())
def test_a_mistake_in_it_is_one_sentence(releases: Releases, text: str, sentence: str) -> None:
    file = releases.apps / "shop.yaml"
    kept = [line for line in file.read_text().splitlines() if not line.startswith("change_ticket")]
    file.write_text("\n".join([*kept, text]) + "\n")
    with pytest.raises(SpecError) as error:
        load_release(file, releases.config, releases.apps)
    assert sentence in str(error.value)


def test_a_broken_one_is_told_where_it_is_named_and_stops_nothing_else(releases: Releases) -> None:
    """``wall`` and ``chaos`` are installed and cannot be loaded: releases that do not name them go on."""
    dag = release_dag(load_release(releases.apps / "shop.yaml", releases.config, releases.apps))
    assert "preflight" in dag.task_dict
    file = releases.config / "production.yaml"
    file.write_text(file.read_text() + "notify: [{kind: wall}]\n")
    with pytest.raises(SpecError, match="The notifier `wall` of package acme-release cannot be loaded"):
        load_release(releases.apps / "shop.yaml", releases.config, releases.apps)


def test_a_feature_that_fails_for_one_app_takes_no_other_apps_dag_away(releases: Releases) -> None:
    file = releases.apps / "shop.yaml"
    (releases.apps / "till.yaml").write_text(file.read_text().replace("name: shop", "name: till") + "grumpy: true\n")
    specs = [load_release(releases.apps / f"{name}.yaml", releases.config, releases.apps) for name in ("till", "shop")]
    assert list(release_dags(specs)) == ["release_shop"]
    assert dag_errors(specs) == ["till: The feature `grumpy` cannot say its tasks for till: KeyError: 'mood'."]
    with pytest.raises(ExtensionError, match="The feature `grumpy` cannot say its tasks"):
        release_dags(specs[:1], alone=True)


@pytest.mark.parametrize(
    ("seam", "name", "kind"),
    [
        (FEATURES, "number", "Feature"),
        (OWN_STAGES, "number", "OwnStage"),
        (STRATEGIES, "number", "Strategy"),
        (ROUTERS, "number", "Router"),
    ],
)
def test_what_is_of_another_kind_is_told_and_stops_nothing(seam: Seam[Any], name: str, kind: str) -> None:
    told = f"The {seam.kind} `{name}` of package acme-release is int: an instance of {kind} is expected."
    assert dict(seam.broken())[name] == told
    assert name not in dict(seam.usable())


def test_what_cannot_be_loaded_is_tried_once_a_process(releases: Releases) -> None:
    with pytest.raises(ExtensionError) as first:
        NOTIFIERS.get("wall")
    with pytest.raises(ExtensionError) as second:
        NOTIFIERS.get("wall")
    assert first.value is second.value


@pytest.mark.parametrize("files", ["trace: true\n"], indirect=True)
@pytest.mark.parametrize(("bad", "outcome"), [(0.0, "released"), (0.05, "rolled_back")])
def test_every_slot_has_its_place(releases: Releases, built: None, bad: float, outcome: str) -> None:
    releases.runs("1.0.0")
    releases.outside.bad = bad
    done = releases.release("1.1.0")
    assert done.outcome == outcome
    passed = [it.sentence for it in HistoryHook().history().find("shop").events if it.kind == "trace"]
    before = [
        "before_build", "after_build", "before_environment staging", "after_deploy staging",
        "before_environment production", "after_deploy production", "in_stage production",
    ]  # fmt: skip
    assert passed == [*before, *(["before_promote production"] if not bad else []), "after_outcome"]
    assert done.state == ("success" if not bad else "failed")
    reasons = releases.dag.task_dict["outcome"].tasks  # type: ignore[attr-defined]
    assert {"trace_before_build", "staging.trace_after_deploy", "production.trace_in_stage"} <= set(reasons)
