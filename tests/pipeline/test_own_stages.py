"""An app whose releases have stages of the team's own, do without some of ours, and have others elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from release_pipelines.airflow import runs
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.records import ReleaseDetail
from release_pipelines.pipeline.plan import ReleasePlan
from release_pipelines.spec.release import load_release
from tests.fakes import GOOD, NEW
from tests.pipeline import conftest as pipeline
from tests.pipeline.conftest import Outside, Released, Releases, moves
from tests.pipeline.own_operators import CALLS

K6 = f"k6@{NEW}"
ALLOWED = "operators_allowed: [tests.pipeline.own_operators.*]\ndags_allowed: [warm_caches]\n"


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pipeline, "BASE", pipeline.BASE + ALLOWED)
    CALLS.clear()
    yield
    CALLS.clear()


def detail() -> ReleaseDetail:
    """The newest release."""
    return HistoryHook().history().find("shop")


def with_file(more: str) -> Any:
    return pytest.mark.parametrize("releases", [more], indirect=True, ids=["shop"])


def stage(done: Released, task: str) -> dict[str, Any]:
    """What a stage came to."""
    result: dict[str, Any] = done.pushed(task, "result")
    return result


def failed_before_production(releases: Releases, done: Released, why: str) -> None:
    """Production was not touched, and staging has its old version again."""
    assert (done.state, done.outcome) == ("failed", "failed"), done.sentence
    assert done.sentence == f"Failed 1.1.0 before production was changed: {why}"
    assert releases.production.writes == []
    assert releases.staging.tracks["stable"].digest == GOOD
    assert releases.staging.lease is None


LOAD = f"""
  - {{name: load, after: staging.smoke_test, keep_output: true, evidence: Load test,
      container: {{image: "{K6}", command: [k6, run, "{{version}}"]}}}}
"""
ALL_THREE = f"""
stages:{LOAD}
  - {{name: compare, after: staging.load,
      container: {{command: [compare, "{{stages.load.p95}}"], env: {{P95: "{{stages.load.p95}} ms"}}}}}}
  - {{name: purge, after: production.step_10,
      operator: {{path: tests.pipeline.own_operators.PurgeOperator,
                 arguments: {{zone: "{{app}}-{{environment}}", count: "{{stages.load.p95}}"}}}}}}
leave_out: [integration_test]
move: {{staging.smoke_test: {{after: staging.deploy}}}}
"""


@with_file(ALL_THREE)
def test_stages_run_where_the_file_puts_them_and_hand_on_what_they_found(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    from release_pipelines.operators import ReleaseApprovalOperator

    forms: list[str] = []
    really = ReleaseApprovalOperator.form

    def form(self: Any, *given: Any) -> tuple[str, str]:
        made = really(self, *given)
        forms.append(made[1])
        return made

    monkeypatch.setattr(ReleaseApprovalOperator, "form", form)
    releases.runs("1.0.0")
    releases.staging.printed = 'running\n{"p95": 120, "errors": 0}'
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("success", "released"), done.sentence
    load, compare = releases.staging.ran
    assert load[:2] == (K6, ["k6", "run", "1.1.0"])
    assert compare[0].endswith(f"shop@{NEW}")
    assert compare[1] == ["compare", "120"]
    assert (compare[2]["P95"], compare[2]["VERSION"]) == ("120 ms", "1.1.0")
    assert done.pushed("staging.load", "image") == K6
    assert CALLS == [("shop-production", 120)], "a value keeps its type"
    assert stage(done, "production.purge")["values"] == {"purged": 3, "zone": "shop-production"}
    assert "staging.integration_test" not in done.states
    [asked] = forms
    assert "| Load test | passed: p95 120, errors 0 |" in asked
    assert "with load, compare, purge; without integration_test; moved: staging.smoke_test" in asked
    [kept] = [it for it in HistoryHook().history().attachments(detail().id) if it.name == "stage-load.txt"]
    assert kept.content == 'running\n{"p95": 120, "errors": 0}'


@with_file(ALL_THREE)
def test_the_graph_reads_in_the_order_of_the_work(releases: Releases) -> None:
    spec = load_release(releases.apps / "shop.yaml", releases.config, releases.apps)
    working = [it.id for it in ReleasePlan(spec).order]
    staging = [it for it in working if it.startswith("staging.")]
    assert staging == [f"staging.{it}" for it in ("take_lease", "deploy", "smoke_test", "load", "compare")]
    assert working[working.index("production.step_10") + 1] == "production.purge"
    dag = releases.dag
    assert dag.get_task("staging.load").upstream_task_ids == {"staging.smoke_test"}
    assert dag.get_task("staging.compare").downstream_task_ids >= {"staging.gate"}
    assert dag.get_task("production.step_50").upstream_task_ids >= {"production.purge"}
    assert dag.task_group.get_child_by_label("staging").has_task(dag.get_task("staging.load"))


@with_file(f"stages:{LOAD}")
def test_a_stage_that_fails_rolls_staging_back(releases: Releases) -> None:
    releases.runs("1.0.0")
    releases.staging.printed, releases.staging.exit_code = "p95 is 900 ms", 99
    done = releases.release("1.1.0")
    failed_before_production(releases, done, "Failed: exit code 99, p95 is 900 ms.")
    assert done.states["staging.load"] == "failed"
    assert done.states["roll_back_staging"] == "success"
    assert stage(done, "staging.load")["exit_code"] == 99
    assert len(releases.staging.ran) == 1, "what fails is not tried again unless the file says so"


@with_file("""
stages:
  - {name: purge, after: production.step_10,
     operator: {path: tests.pipeline.own_operators.PurgeOperator, arguments: {zone: shop, fails: 1}}}
""")
def test_in_mid_canary_a_stage_that_fails_rolls_production_back(releases: Releases) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "rolled_back"), done.sentence
    assert "The zone shop is locked" in done.sentence
    assert moves(releases.production) == [10, 0]
    assert releases.production.tracks["stable"].digest == GOOD
    assert done.states["production.step_50"] == "upstream_failed"
    assert done.states["rollback.verify"] == "success"


@with_file("""
stages:
  - {name: watch, after: production.step_10, container: {command: [watch]}}
""")
def test_a_version_that_turns_bad_while_a_stage_runs_goes_back_at_once(releases: Releases) -> None:  # R4
    releases.runs("1.0.0")
    releases.production.run_seconds = 60

    def turns_bad(call: str) -> None:
        if call == "run":
            releases.outside.bad = 0.05

    releases.production.after = turns_bad
    releases.production.before = turns_bad
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "rolled_back"), done.sentence
    assert "error rate 5 %" in done.sentence
    assert moves(releases.production) == [10, 0]


@with_file("""
stages:
  - {name: watch, after: production.step_10, container: {command: [watch]}}
""")
def test_a_person_ends_a_stage_and_the_release_goes_back(releases: Releases) -> None:
    releases.runs("1.0.0")
    releases.production.run_seconds = 60

    def begins(call: str) -> None:
        if call == "run":
            releases.command("abort")

    releases.production.before = begins
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "aborted")
    assert done.sentence == "Aborted 1.1.0 at 10 %: alice: wrong price list; traffic is back on 1.0.0."
    assert releases.production.tracks["stable"].digest == GOOD


@with_file("""
stages:
  - {name: purge, before: approval, retries: 2,
     operator: {path: tests.pipeline.own_operators.PurgeOperator, arguments: {zone: shop, fails: 2}}}
""")
def test_a_stage_is_tried_again_as_often_as_the_file_says(releases: Releases) -> None:
    done = releases.release("1.0.0")
    assert done.outcome == "released", done.sentence
    assert len(CALLS) == 3
    assert stage(done, "before_production.purge")["succeeded"] is True


@with_file("""
stages:
  - {name: purge, before: approval, retries: 20, stop_after: 1ms,
     operator: {path: tests.pipeline.own_operators.PurgeOperator, arguments: {zone: shop, fails: 20}}}
""")
def test_a_stage_is_stopped_after_a_time_with_all_its_tries(releases: Releases) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert done.outcome == "failed"
    assert len(CALLS) <= 1


@with_file(f"""
stages:
  - {{name: lint, after: staging.smoke_test, continue_when: ended, container: {{image: "{K6}", command: [lint]}}}}
""")
def test_a_release_goes_on_where_the_file_says_so_and_people_see_the_failure(releases: Releases) -> None:
    releases.runs("1.0.0")
    releases.staging.printed, releases.staging.exit_code = "3 warnings", 3
    done = releases.release("1.1.0")
    assert done.outcome == "released", done.sentence
    result = stage(done, "staging.lint")
    assert (result["succeeded"], result["goes_on"]) == (False, True)
    assert result["sentence"] == "failed: exit code 3, 3 warnings; the release goes on all the same"


@with_file(f"""
stages:
  - {{name: lint, after: staging.smoke_test, continue_when: ended, timeout: 50ms, container: {{image: "{K6}", command: [lint]}}}}
""")
def test_what_did_not_end_is_not_known_and_the_release_does_not_go_on(releases: Releases) -> None:
    releases.runs("1.0.0")
    releases.staging.run_seconds = 60
    done = releases.release("1.1.0")
    assert done.outcome == "failed"
    assert "it took longer than" in done.sentence
    assert releases.staging.tracks["stable"].digest == GOOD


@with_file(f"""
stages:
  - {{name: lint, after: staging.smoke_test, container: {{image: "{K6}", command: [lint], exit_codes: [0, 3]}}}}
""")
def test_exit_codes_that_the_file_names_are_no_failure(releases: Releases) -> None:
    releases.staging.exit_code = 3
    done = releases.release("1.0.0")
    assert done.outcome == "released", done.sentence
    assert stage(done, "staging.lint")["exit_code"] == 3


@with_file("""
stages:
  - {name: purge, before: approval,
     operator: {path: tests.pipeline.own_operators.PurgeOperator, arguments: {zone: shop, skips: true}}}
""")
def test_an_operator_that_skips_itself_has_not_passed(releases: Releases) -> None:
    """A skipped task would take the gate with it, and so the way back."""
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    why = "Skipped: nothing to purge: nobody knows what it would have come to."
    failed_before_production(releases, done, why)


@with_file("""
stages:
  - {name: wait, after: staging.smoke_test, operator: {path: tests.pipeline.own_operators.WaitingOperator}}
  - {name: purge, after: staging.wait,
     operator: {path: tests.pipeline.own_operators.PurgeOperator, arguments: {zone: shop, count: "{stages.wait.value}"}}}
""")
def test_an_operator_that_defers_itself_goes_on_where_it_was(releases: Releases) -> None:
    done = releases.release("1.0.0")
    assert done.outcome == "released", done.sentence
    assert CALLS == [("shop", 7)]


@with_file("""
stages:
  - {name: tool, after: artifact, environment: staging, container: {image: "shop:1.0.0", command: [scan]}}
""")
def test_a_tag_is_resolved_to_a_digest_which_is_what_runs(releases: Releases) -> None:
    done = releases.release("1.1.0")
    assert done.outcome == "released", done.sentence
    [(image, _, _)] = releases.staging.ran
    assert image == f"{releases.outside.host}/shop@{GOOD}"
    assert done.pushed("tool", "image") == image


@with_file(f"""
stages:
  - {{name: login, after: staging.smoke_test, keep_output: true,
     container: {{image: "{K6}", command: [login], secrets: {{TOKEN: {{connection: idp}}}}}}}}
""")
def test_a_secret_reaches_the_command_and_nothing_else(releases: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_IDP", '{"conn_type": "generic", "password": "hunter2-of-idp"}')
    releases.staging.printed = "used hunter2-of-idp"
    done = releases.release("1.0.0")
    assert done.outcome == "released", done.sentence
    [(_, _, env)] = releases.staging.ran
    assert env["TOKEN"] == "hunter2-of-idp"
    assert stage(done, "staging.login")["sentence"] == "passed: used ***"
    [kept] = [it for it in HistoryHook().history().attachments(detail().id) if it.name == "stage-login.txt"]
    assert kept.content == "used ***"


@with_file("""
stages:
  - {name: ready, after: staging.smoke_test, timeout: 20s,
     http: {path: /stages/ready, field: checks.0.state, equals: up, interval: 1s}}
""")
def test_an_http_check_waits_until_the_answer_is_as_expected(outside: Outside, releases: Releases) -> None:
    asked: list[str] = []

    async def page(request: web.Request) -> web.Response:
        if request.path == "/stages/ready":
            asked.append(request.host)
            return web.json_response({"checks": [{"state": "up" if len(asked) > 1 else "starting"}]})
        return await really(request)

    really, outside.pages = outside.pages, page
    done = releases.release("1.0.0")
    assert done.outcome == "released", done.sentence
    assert asked == ["shop.staging.localhost"] * 2
    assert stage(done, "staging.ready")["values"] == {"status": 200, "value": "up"}


@with_file("""
stages:
  - {name: warm, before: approval, dag: {dag_id: warm_caches, conf: {version: "{version}", pages: 3}, result: count}}
""")
@pytest.mark.parametrize("state", ["success", "failed"])
def test_another_dag_is_started_once_and_its_end_decides(
    releases: Releases, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    started: list[tuple[str, str, dict[str, Any]]] = []

    def start(dag_id: str, run_id: str, conf: dict[str, Any]) -> bool:
        started.append((dag_id, run_id, conf))
        return True

    async def state_of(dag_id: str, run_id: str) -> str:
        return state

    monkeypatch.setattr(runs, "start_run", start)
    monkeypatch.setattr(runs, "state_of", state_of)
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    [(dag_id, run_id, conf)] = started
    assert (dag_id, conf) == ("warm_caches", {"version": "1.1.0", "pages": 3})
    if state == "success":
        assert done.outcome == "released", done.sentence
        assert stage(done, "before_production.warm")["values"]["run_id"] == run_id
    else:
        failed_before_production(releases, done, f"Failed: run {run_id} of warm_caches.")


def test_the_example_runs_without_an_app_file(
    outside: Outside, releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands: its connections lead to fakes, and its other DAG is one that ends well."""
    import json

    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    for name, host in {"engine": "none", "registry": outside.host}.items():
        connection = {"conn_type": "generic", "host": host, "extra": {"insecure": True}}
        monkeypatch.setenv(f"AIRFLOW_CONN_SANDBOX_{name.upper()}", json.dumps(connection))
    monkeypatch.setitem(pipeline.TAGS, "1", NEW)
    releases.runs("1.0.0")
    outside.worlds["staging"].printed = '{"p95": 120}'
    started: list[dict[str, Any]] = []

    def start(dag_id: str, run_id: str, conf: dict[str, Any]) -> bool:
        started.append(conf)
        return True

    async def state_of(dag_id: str, run_id: str) -> str:
        return "success"

    monkeypatch.setattr(runs, "start_run", start)
    monkeypatch.setattr(runs, "state_of", state_of)
    bag = DagBag(dag_folder=str(Path(__file__).parents[2] / "dags" / "examples" / "own_stages.py"))
    dag = bag.dags["nightly_load_test"]
    for name in ("healthy",):
        task: Any = dag.task_dict[name]
        task.target = task.target.model_copy(update={"url": outside.url})
    sync_bag_to_db(bag, "dags-folder", None)
    done = Released(dag.test())
    assert done.state == "success", done.states
    assert outside.worlds["staging"].ran[0][1][1:] == [
        "load.py",
        "http://127.0.0.1:8000",
        "--host",
        "storefront.staging.localhost",
    ]
    assert done.pushed("note")["values"] == "120 ms"
    assert started == [{"p95": 120}]


@with_file("""
stages:
  - {name: ticket, after: preflight, operator: {path: tests.pipeline.own_operators.PurgeOperator, arguments: {zone: "{version}"}}}
  - {name: source, before: build.resolve_digest, operator: {path: tests.pipeline.own_operators.PurgeOperator, arguments: {zone: source}}}
  - {name: known, before: artifact, operator: {path: tests.pipeline.own_operators.PurgeOperator, arguments: {zone: known}}}
  - {name: recorded, after: artifact, operator: {path: tests.pipeline.own_operators.PurgeOperator, arguments: {zone: "{digest}"}}}
  - {name: open, before: staging, operator: {path: tests.pipeline.own_operators.PurgeOperator, arguments: {zone: open}}}
  - {name: granted, after: approval, operator: {path: tests.pipeline.own_operators.PurgeOperator, arguments: {zone: "yes"}}}
  - {name: over, after: production.bake, operator: {path: tests.pipeline.own_operators.PurgeOperator, arguments: {zone: over}}}
""")
def test_stages_stand_anywhere_between_preflight_and_promotion(releases: Releases) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert done.outcome == "released", done.sentence
    assert [zone for zone, _ in CALLS] == ["1.1.0", "source", "known", NEW, "open", "yes", "over"]
    assert done.states["before_staging.open"] == "success"

    CALLS.clear()
    again = releases.release("1.1.0")
    assert again.outcome == "no_op", again.sentence
    assert [zone for zone, _ in CALLS] == ["1.1.0"], "there is nothing to do but what comes before that is known"

    CALLS.clear()
    back = releases.release("1.0.0")  # its digest is recorded: nothing is resolved anew
    assert back.outcome == "released", back.sentence
    assert [zone for zone, _ in CALLS] == ["1.0.0", GOOD, "open", "yes", "over"]


@with_file("""
stages:
  - {name: granted, after: approval, operator: {path: tests.pipeline.own_operators.PurgeOperator, arguments: {zone: "yes", fails: 1}}}
""")
def test_what_fails_after_the_approval_leaves_production_alone_and_staging_goes_back(releases: Releases) -> None:
    releases.runs("1.0.0")
    failed_before_production(releases, releases.release("1.1.0"), "Failed: The zone yes is locked.")


@with_file("""
stages:
  - {name: over, after: production.bake, operator: {path: tests.pipeline.own_operators.PurgeOperator, arguments: {zone: over, fails: 1}}}
""")
def test_what_fails_after_the_bake_gives_the_traffic_back(releases: Releases) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "rolled_back"), done.sentence
    assert moves(releases.production)[-1] == 0
    assert releases.production.tracks["stable"].digest == GOOD
    assert done.states["production.promote"] in ("skipped", "upstream_failed")
