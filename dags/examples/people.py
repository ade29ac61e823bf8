"""What a person does to a release with an app file: steer it while it runs, or go back later; with operators of your own DAG.

`dags/release_control.py` and `dags/release_rollback.py` have forms for the same; this one aborts and goes back in one run.
"""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG, Param, TaskGroup, TriggerRule

from release_pipelines.operators import (
    ManualRollbackPlanOperator,
    RecordRollbackOperator,
    ReleaseControlOperator,
    RollbackCleanupOperator,
    RollbackGiveBackOperator,
    RollbackPrepareOperator,
    RollbackSwitchOperator,
    RollbackVerifyOperator,
)

include = Path(__file__).parents[2] / "include"

with DAG(
    dag_id="stop_and_go_back",
    description="Aborts what runs, and goes back to the version before",
    schedule=None,
    tags=["example"],
    params={
        "app": Param("storefront", type="string"),
        "reason": Param("", type="string", description="Kept in the history"),
        "requested_by": Param("", type="string"),
    },
) as dag:
    asked = {
        "apps": include / "apps",
        "config": include / "config",
        "app": "{{ params.app }}",
        "reason": "{{ params.reason }}",
        "requested_by": "{{ params.requested_by }}",
    }
    abort = ReleaseControlOperator(task_id="abort", action="abort", **asked)
    with TaskGroup(group_id="rollback"):
        plan = ManualRollbackPlanOperator(
            task_id="plan", environment="", version="", trigger_rule=TriggerRule.ALL_DONE, **asked
        )
        prepare = RollbackPrepareOperator(task_id="prepare", plan=plan.output)
        switch = RollbackSwitchOperator(task_id="switch", plan=plan.output)
        verify = RollbackVerifyOperator(task_id="verify", plan=plan.output, retries=3)
        clean_up = RollbackCleanupOperator(task_id="clean_up", plan=plan.output)
        plan >> prepare >> switch >> verify >> clean_up
    give_back = RollbackGiveBackOperator(task_id="give_back_lease", plan=plan.output)
    outcome = RecordRollbackOperator(task_id="outcome", group="rollback")

    abort >> plan
    clean_up >> give_back.as_teardown(setups=plan.as_setup()) >> outcome.as_teardown(on_failure_fail_dagrun=True)
