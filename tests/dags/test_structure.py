"""Which task follows which, under which rule: the shape whose failures reach the rollback (R8, R9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, TriggerRule

from release_pipelines.features.commands.dag import control_dag
from release_pipelines.features.rollback.dag import rollback_dag
from release_pipelines.pipeline.release import release_dag
from release_pipelines.spec.release import load_release

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "include" / "config"
ALL_PARTS = """
name: shop
build: {repository: shop, test_target: test}
integration_test: [pytest]
"""
NO_BUILD = "name: shop\n"
ONLY_PRODUCTION = "name: shop\nenvironments: [production]\n"


def dag_of(tmp_path: Path, text: str) -> DAG:
    (tmp_path / "shop.yaml").write_text(text)
    return release_dag(load_release(tmp_path / "shop.yaml", CONFIG, tmp_path / "analyses"))


STRATEGIES = {
    "canary": "",
    "every kind of step": """
strategy:
  canary:
    steps:
      - {match: {header: X-Tester, value: "yes"}, hold: 1m}
      - {weight: 10, hold: {min: 1m, max: 10m}}
      - {verify: {command: [python3, check.py]}}
      - {approval: {}}
""",
    "blue_green": "strategy: {blue_green: {auto_promote: false}}\n",
    "rolling": "strategy: {rolling: {batches: [25, 50]}}\n",
}
DEPLOYS = {
    "canary": "canary_deploy",
    "every kind of step": "canary_deploy",
    "blue_green": "preview_deploy",
    "rolling": "rolling_deploy",
}


@pytest.fixture(params=STRATEGIES)
def dag(tmp_path: Path, request: pytest.FixtureRequest) -> DAG:
    return dag_of(tmp_path, ALL_PARTS + STRATEGIES[request.param])


def stages_of(dag: DAG) -> list[str]:
    """The tasks of production between its deployment and its gate."""
    between = dag.task_dict["production.gate"].get_flat_relative_ids(upstream=True)
    deploy = next(f"production.{it}" for it in DEPLOYS.values() if f"production.{it}" in dag.task_dict)
    return sorted(between & dag.task_dict[deploy].get_flat_relative_ids(upstream=False))


@pytest.mark.parametrize("gate", ["staging.gate", "approval_gate", "production.gate", "production.promote_gate"])
def test_gates_also_run_after_failures_but_not_where_an_earlier_gate_sent_the_run_elsewhere(
    dag: DAG, gate: str
) -> None:
    task = dag.task_dict[gate]
    assert task.trigger_rule == TriggerRule.NONE_SKIPPED
    assert task.retries >= 2


@pytest.mark.parametrize("task", ["rollback.plan", "roll_back_staging"])
def test_ways_back_run_whatever_happened_before(dag: DAG, task: str) -> None:  # R8
    assert dag.task_dict[task].trigger_rule == TriggerRule.ALL_DONE


def test_everything_that_works_needs_what_came_before_it(dag: DAG) -> None:
    other = {"staging.gate", "approval_gate", "production.gate", "production.promote_gate", "rollback.plan"}
    other |= {"roll_back_staging", "artifact", "complete"}
    for task in dag.tasks:
        if task.task_id not in other and not task.is_teardown:
            assert task.trigger_rule == TriggerRule.ALL_SUCCESS, task.task_id


def test_a_database_or_cluster_that_is_away_for_half_a_minute_ends_no_release(dag: DAG) -> None:  # R6
    names = ["take_lease", "hold_lease", "bake", "promote"]
    for name in [
        *(f"production.{it}" for it in names),
        *stages_of(dag),
        "rollback.plan",
        "rollback.prepare",
        "rollback.switch",
        "give_back_lease",
        "approval",
        "outcome",
    ]:
        task = dag.task_dict[name]
        assert task.retries * task.retry_delay.total_seconds() >= 30, name


@pytest.mark.parametrize(
    ("setup", "teardown"),
    [("staging.take_lease", "staging.give_back_lease"), ("production.take_lease", "give_back_lease")],
)
def test_a_lease_that_was_taken_is_given_back_in_every_case(dag: DAG, setup: str, teardown: str) -> None:  # R2
    take, give_back = dag.task_dict[setup], dag.task_dict[teardown]
    assert take.is_setup
    assert give_back.is_teardown
    assert not give_back.on_failure_fail_dagrun
    assert take.task_id in give_back.upstream_task_ids


def test_a_run_that_needs_no_lease_can_be_complete(dag: DAG) -> None:  # R17
    # Airflow skips what lies between a skipped setup and its teardown, whatever its trigger rule.
    reached = dag.task_dict["complete"].get_flat_relative_ids(upstream=False)
    assert reached == {"outcome"}


def test_the_outcome_counts_and_comes_last(dag: DAG) -> None:  # R9
    outcome = dag.task_dict["outcome"]
    assert outcome.is_teardown
    assert outcome.on_failure_fail_dagrun
    assert not outcome.downstream_task_ids


def test_no_gate_stands_right_before_a_teardown_which_it_would_skip(dag: DAG) -> None:  # R2, R9
    gates = {task.task_id for task in dag.tasks if task.task_id.endswith("gate")}
    for task in dag.tasks:
        if task.is_teardown:
            assert not gates & task.upstream_task_ids, task.task_id


def test_no_leaf_but_a_teardown_can_turn_a_failed_run_green(dag: DAG) -> None:  # R9
    for task in dag.tasks:
        if not task.downstream_task_ids:
            assert task.is_teardown or task.trigger_rule == TriggerRule.ALL_SUCCESS, task.task_id


def test_choosing_to_promote_does_not_skip_the_rollback(dag: DAG) -> None:  # R8
    reached = dag.task_dict["production.promote"].get_flat_relative_ids(upstream=False)
    assert "rollback.plan" in reached


def test_no_run_has_a_timeout_because_that_skips_teardowns(dag: DAG) -> None:  # R6
    assert dag.dagrun_timeout is None


@pytest.mark.parametrize(
    ("strategy", "stages"),
    [
        ("canary", ["bake", "step_25", "step_5", "step_50"]),
        ("every kind of step", ["approval_4", "bake", "step_10", "testers_1", "verify_3"]),
        ("blue_green", ["bake", "let_over", "preview_test"]),
        ("rolling", ["bake", "batch_25", "batch_50"]),
    ],
)
def test_a_strategy_is_its_stages(tmp_path: Path, strategy: str, stages: list[str]) -> None:
    dag = dag_of(tmp_path, ALL_PARTS + STRATEGIES[strategy])
    assert stages_of(dag) == [f"production.{it}" for it in stages]
    assert f"production.{DEPLOYS[strategy]}" in dag.task_dict


def test_the_outcome_looks_at_every_task_that_can_fail_in_production(dag: DAG) -> None:  # R13
    outcome: Any = dag.task_dict["outcome"]
    marks = {"production.hold_lease", "production.gate", "production.promote_gate", "rollback.clean_up"}
    work = {it for it in dag.task_dict if it.startswith(("production.", "rollback."))} - marks
    assert work <= set(outcome.tasks)
    assert set(outcome.roles.values()) <= set(dag.task_dict)


def test_a_person_in_the_middle_is_one_of_the_approvers_of_production(tmp_path: Path) -> None:  # R10
    dag = dag_of(tmp_path, ALL_PARTS + STRATEGIES["every kind of step"])
    question: Any = dag.task_dict["production.approval_4"]
    assert question.approvers == ["bob", "carol"]
    assert question.stage.name == "step_10"  # goes on being judged meanwhile


def test_a_release_has_at_most_thirty_tasks_on_its_critical_path(dag: DAG) -> None:
    longest: dict[str, int] = {}

    def length(task: Any) -> int:
        if task.task_id not in longest:
            longest[task.task_id] = 1 + max((length(it) for it in task.downstream_list), default=0)
        return longest[task.task_id]

    assert max(length(task) for task in dag.tasks) <= 30


def test_a_rollback_by_a_person_ends_like_a_release(tmp_path: Path) -> None:  # R2, R9
    dag = rollback_dag(tmp_path, CONFIG)
    assert not dag.is_paused_upon_creation
    plan, give_back, outcome = (dag.task_dict[it] for it in ("rollback.plan", "give_back_lease", "outcome"))
    assert plan.is_setup
    assert give_back.is_teardown
    assert plan.task_id in give_back.upstream_task_ids
    assert outcome.is_teardown
    assert outcome.on_failure_fail_dagrun
    assert not outcome.downstream_task_ids


def test_a_release_can_be_steered_from_a_form(tmp_path: Path) -> None:
    dag = control_dag(tmp_path, CONFIG)
    assert not dag.is_paused_upon_creation
    assert dag.params.get_param("action").schema["enum"] == ["pause", "resume", "promote", "skip", "abort"]


def test_an_app_that_is_built_elsewhere_has_its_digest_resolved(tmp_path: Path) -> None:
    dag = dag_of(tmp_path, NO_BUILD)
    assert "build.resolve_digest" in dag.task_dict
    assert not any(task.startswith(("scan.", "build.build")) for task in dag.task_dict)
    assert dag.task_dict["artifact"].upstream_task_ids >= {"build.resolve_digest"}


def test_the_approver_sees_what_the_image_was_made_of(dag: DAG, tmp_path: Path) -> None:  # R10
    built, elsewhere = dag.task_dict["approval"].evidence, dag_of(tmp_path, NO_BUILD).task_dict["approval"].evidence
    assert built["Built from"] == "{{ ti.xcom_pull(task_ids='resolve_commit', key='source') or '' }}"
    assert elsewhere["Image"] == "{{ ti.xcom_pull(task_ids='build.resolve_digest', key='source') or '' }}"


def test_an_app_with_production_alone_goes_straight_to_the_approval(tmp_path: Path) -> None:
    dag = dag_of(tmp_path, ONLY_PRODUCTION)
    assert "approval" in dag.task_dict["artifact"].downstream_task_ids
    assert not any("staging" in task for task in dag.task_dict)


def test_the_form_asks_for_what_a_release_needs(dag: DAG) -> None:
    assert set(dag.params) == {
        "version",
        "notes",
        "stop_at",
        "urgent_reason",
        "requested_by",
        "remedies",
        "degraded_since",
    }
    assert dag.params.get_param("stop_at").schema["enum"] == ["staging", "production"]


def test_waits_of_a_release_are_deferrable_or_awaiting_input(dag: DAG) -> None:
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    from release_pipelines.airflow.operator import ReleaseOperator

    waiting = {"approval": ApprovalOperator, "production.bake": ReleaseOperator, "production.promote": ReleaseOperator}
    for task_id, kind in waiting.items():
        assert isinstance(dag.task_dict[task_id], kind)


def test_the_approvers_are_those_of_production(dag: DAG) -> None:  # R10
    assert dag.task_dict["approval"].approvers == ["bob", "carol"]


def test_a_tasks_own_process_knows_the_same_graph_and_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A branch skips by the graph, and the rest of a task's process reads its own operator."""
    text = ALL_PARTS + STRATEGIES["every kind of step"]
    whole = dag_of(tmp_path, text)
    for task in ("preflight", "roll_back_staging", "production.gate", "production.step_10", "outcome"):
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", whole.dag_id)
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", task)
        seen = dag_of(tmp_path, text)
        assert _graph(seen) == _graph(whole)
        own, meant = seen.task_dict[task], whole.task_dict[task]
        assert type(own) is type(meant)
        assert (own.trigger_rule, own.retries, own.owner) == (meant.trigger_rule, meant.retries, meant.owner)
        assert {key: it.value for key, it in seen.params.items()} == {key: it.value for key, it in whole.params.items()}
        monkeypatch.undo()


def _graph(dag: DAG) -> dict[str, tuple[set[str], bool, bool]]:
    return {it.task_id: (it.downstream_task_ids, it.is_setup, it.is_teardown) for it in dag.tasks}


def test_every_group_of_tasks_says_what_it_is_for(dag: DAG) -> None:
    groups = {name: it.tooltip for name, it in dag.task_group_dict.items() if name}
    assert all(groups.values()), groups
    assert "skipped is the good case" in groups["rollback"]
    assert groups["staging"].startswith("staging: ")
    assert "Pink boxes are ways that were not taken" in (dag.doc_md or "")
