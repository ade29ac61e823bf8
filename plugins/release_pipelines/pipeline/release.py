"""How a release is put together: one DAG from one specification.

Which task has which trigger rule was tried in many failures; docs/architecture.md says why each is as it is.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param, TriggerRule

from release_pipelines.core.templates import part, xcom
from release_pipelines.features.approval.form import plan_in_words
from release_pipelines.features.artifact.operators import RecordArtifactOperator
from release_pipelines.features.outcome.operators import RecordOutcomeOperator
from release_pipelines.features.preflight.operators import PreflightOperator
from release_pipelines.pipeline.build import build_group
from release_pipelines.pipeline.common import RELEASE, TRIES, TRY_SECONDS, optional, requested_by
from release_pipelines.pipeline.environments import approval, rolling_environment
from release_pipelines.pipeline.gates import PreflightGateOperator
from release_pipelines.pipeline.production import production
from release_pipelines.spec.frozen import dag_id
from release_pipelines.spec.release import ReleaseSpec


def release_dag(spec: ReleaseSpec) -> DAG:
    """The DAG ``release_<app>`` of an app.

    :param spec: what the team wrote, with everything that belongs to it.
    """
    app = spec.app
    names = [environment.name for environment in spec.environments]
    with DAG(
        dag_id=dag_id(app.name),
        description=app.description or f"Releases {app.name}",
        schedule=None,
        catchup=False,
        owner_links={},
        tags=["release", app.name],
        default_args={"owner": app.owner, "retries": TRIES, "retry_delay": TRY_SECONDS},
        params=_form(spec, names),
        doc_md=_guide(spec, names),
    ) as dag:
        preflight = PreflightOperator(task_id="preflight", spec=spec)
        first_build, built = build_group(spec)
        artifact = RecordArtifactOperator(
            task_id="artifact",
            artifact=xcom(built.task_id),
            known=part("preflight", "known"),
            release=RELEASE,
            trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
        )
        gate = PreflightGateOperator(
            task_id="preflight_gate",
            preflight="preflight",
            build=first_build.task_id,
            recorded="artifact",
            no_op="nothing_to_do",
        )
        nothing = EmptyOperator(task_id="nothing_to_do")
        # One of the ways to the end was taken. Gates are upstream only of their own ways, so that a rollback is none.
        complete = EmptyOperator(task_id="complete", trigger_rule=TriggerRule.ONE_SUCCESS)
        preflight >> gate >> [first_build, artifact, nothing]
        nothing >> complete
        built >> artifact

        before: Any = artifact
        order = ["preflight", *_build_ids(spec), "artifact"]
        undo: list[Any] = []
        for environment in names[:-1]:
            last, ids = rolling_environment(spec, environment, before, complete, undo)
            order += ids
            before = last
        question, approval_gate = approval(spec, names, undo)
        before >> question >> approval_gate
        order += ["approval"]
        made = production(spec, names[-1], approval_gate, complete)
        order += made.order
        if undo:
            approval_gate >> undo
        outcome = RecordOutcomeOperator(
            task_id="outcome",
            spec=spec,
            tasks=order,
            roles={
                "preflight": "preflight",
                "complete": "complete",
                "approval": "approval",
                "deploy": made.deploy,
                "plan": "rollback.plan",
                "prepare": "rollback.prepare",
                "switch": "rollback.switch",
                "verify": "rollback.verify",
                "give_back": "give_back_lease",
            },
        )
        [made.end, complete, *undo] >> outcome.as_teardown(on_failure_fail_dagrun=True)
    return dag


def _build_ids(spec: ReleaseSpec) -> list[str]:
    if spec.app.build is None:
        return ["build.resolve_digest"]
    scans = [f"scan.{scanner}" for scanner in spec.app.scan.scanners]
    tests = ["build.test"] if spec.app.build.test_target else []
    return ["resolve_commit", *tests, *scans, "build.build_image", "push_image"]


def _form(spec: ReleaseSpec, names: list[str]) -> dict[str, Param]:
    examples = {"semver": "1.4.0", "date": "2026.11.23", "commit": "4f1c2aa"}
    return {
        "version": Param(
            "",
            type="string",
            title="Version",
            description=f"What to release, like {examples[spec.app.version_scheme]}.",
        ),
        "notes": optional("Notes", "Shown to the approver and kept in the history."),
        "stop_at": Param(
            names[-1], type="string", enum=names, title="Stop at", description="The last environment that is changed."
        ),
        "urgent_reason": optional(
            "Reason for an urgent release",
            "Lets a release begin although stable is not healthy. Kept in the history.",
            section="Urgent",
        ),
        "requested_by": requested_by(),
    }


def _guide(spec: ReleaseSpec, names: list[str]) -> str:
    return (
        f"# {spec.app.name}\n\n{spec.app.description}\n\n"
        f"Trigger with a version. It goes through {' → '.join(names)}; production waits for an approval, then: "
        f"{plan_in_words(spec)} The rollback group does the rest. To steer a running release: `release_control`; to go "
        "back later: `release_rollback`.\n"
    )
