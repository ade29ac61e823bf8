"""The DAG with which a person rolls an app back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param

from release_pipelines.airflow.forms import TRIES, TRY_SECONDS, app_choice, optional, requested_by
from release_pipelines.airflow.groups import rollback_group
from release_pipelines.airflow.words import describe
from release_pipelines.core.model.release_id import ROLLBACK_DAG
from release_pipelines.core.templates import xcom
from release_pipelines.features.rollback.feature import STEPS, step
from release_pipelines.features.rollback.good import listed
from release_pipelines.features.rollback.operators.manual import ManualRollbackPlanOperator, RecordRollbackOperator
from release_pipelines.features.rollback.operators.planned import RollbackGiveBackOperator
from release_pipelines.spec.release import app_files


def rollback_dag(apps: Path, config: Path) -> DAG:
    """The DAG ``release_rollback``: a person goes back to a good version.

    :param apps: folder of the app files.
    :param config: folder of the environment files.
    """
    with DAG(
        dag_id=ROLLBACK_DAG,
        description="Puts an app back to a version that was promoted and held; takes precedence over a release that runs",
        schedule=None,
        catchup=False,
        is_paused_upon_creation=False,
        tags=["release"],
        default_args={"owner": "release-managers", "retries": TRIES, "retry_delay": TRY_SECONDS},
        params=_form(apps),
        doc_md=(
            "# Rollback\n\nPuts an app back to a version that was promoted and held. A rollback takes precedence: "
            "a release that is running ends, and its outcome says who took over."
        ),
    ) as dag:
        with rollback_group():
            plan = ManualRollbackPlanOperator(
                task_id="plan",
                apps=apps,
                config=config,
                app="{{ params.app }}",
                environment="{{ params.environment or '' }}",
                version="{{ params.version or '' }}",
                reason="{{ params.reason }}",
                requested_by="{{ params.requested_by or '' }}",
            )
            clean_up: Any = plan
            for name in STEPS[1:]:
                clean_up = clean_up >> step(name, name, xcom("rollback.plan"))
        give_back = RollbackGiveBackOperator(task_id="give_back_lease", plan=xcom("rollback.plan"))
        outcome = RecordRollbackOperator(task_id="outcome", group="rollback")
        clean_up >> give_back.as_teardown(setups=plan.as_setup()) >> outcome.as_teardown(on_failure_fail_dagrun=True)
    describe(dag)
    return dag


def _form(apps: Path) -> dict[str, Param]:
    names = [path.stem for path in app_files(apps)]
    return {
        "app": app_choice(names),
        "environment": optional("Environment", "Empty: the app's last one."),
        "version": optional(
            "Version", f"To go back to. Empty: the newest that was promoted and held. {listed(names)}".strip()
        ),
        "reason": Param("", type="string", title="Reason", description="Kept in the history, with who gave it."),
        "requested_by": requested_by(),
    }
