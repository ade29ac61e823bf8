"""The DAG with which a person gives a running release commands."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG, Param

from release_pipelines.airflow.forms import app_choice, optional, requested_by
from release_pipelines.airflow.words import describe
from release_pipelines.core.model.command import COMMAND_KINDS
from release_pipelines.features.commands.operators import AnsweringControlOperator
from release_pipelines.spec.release import app_files


def control_dag(apps: Path, config: Path) -> DAG:
    """The DAG ``release_control``: pause, resume, promote, skip or abort the running release of an app.

    :param apps: folder of the app files.
    :param config: folder of the environment files.
    """
    with DAG(
        dag_id="release_control",
        description="Steers a running release: pause, resume, promote, skip, abort",
        schedule=None,
        catchup=False,
        is_paused_upon_creation=False,
        tags=["release"],
        default_args={"owner": "release-managers", "retries": 1, "retry_delay": 1.0},
        params={
            "app": app_choice([path.stem for path in app_files(apps)]),
            "action": Param(
                "pause",
                type="string",
                enum=list(COMMAND_KINDS),
                title="Action",
                description="pause: the hold's clock stops, the traffic stays. skip: this hold ends now, as passed. "
                "promote: every hold that is left ends now, as passed; the promotion follows as always. abort: all traffic goes back at once.",
            ),
            "reason": optional("Reason", "Kept in the history; an abort needs one."),
            "requested_by": requested_by(),
        },
        doc_md="# Control\n\nGives a command to the running release of an app, and says what it did.",
    ) as dag:
        AnsweringControlOperator(
            task_id="control",
            apps=apps,
            config=config,
            app="{{ params.app }}",
            action="{{ params.action }}",
            reason="{{ params.reason or '' }}",
            requested_by="{{ params.requested_by or '' }}",
        )
    describe(dag)
    return dag
