"""The DAG that starts releases of what was pushed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, AssetAny, AssetOrTimeSchedule, CronTriggerTimetable, get_parsing_context

from release_pipelines.airflow.forms import TRIES, TRY_SECONDS
from release_pipelines.airflow.words import describe
from release_pipelines.core.model.release_id import PUSHES_DAG
from release_pipelines.features.pushes.operators import LookForPushesOperator, StartReleaseOperator
from release_pipelines.spec.pushes import receiver_of, receiving_specs

EVERY = "*/2 * * * *"
"""When forges and registries are compared with what they told. A delivery that the endpoint takes does not wait for it."""


def pushes_dag(apps: Path, config: Path) -> DAG:
    """The DAG ``release_pushes``: starts the releases that pushes ask for. It has a schedule where an app has ``starts``.

    :param apps: folder of the app files.
    :param config: folder of the environment files.
    """
    with DAG(
        dag_id=PUSHES_DAG,
        description="Starts releases of what was pushed, and finds what nobody told of",
        schedule=_schedule(apps, config),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags=["release"],
        default_args={"owner": "release-managers", "retries": TRIES, "retry_delay": TRY_SECONDS},
        doc_md=(
            "# Pushes\n\nStarts a release of each app whose file has `starts`, for the newest push that waits; one at a time. "
            "What came, and what it came to: `release pushes`."
        ),
    ) as dag:
        look = LookForPushesOperator(task_id="look", apps=apps, config=config)
        StartReleaseOperator.partial(
            task_id="start",
            retries=1,  # the next look asks for a run again that could not be made
            map_index_template="{{ task.release_dag }}",
        ).expand_kwargs(look.output)
    describe(dag)
    return dag


def _schedule(apps: Path, config: Path) -> Any:
    if get_parsing_context().dag_id is not None:  # a task's process needs none
        return None
    receivers = [receiver for it in receiving_specs(apps, config) if (receiver := receiver_of(it))]
    if not receivers:
        return None
    assets = {it.starts.asset: Asset(it.starts.asset) for it in receivers if it.starts.asset}
    clock = CronTriggerTimetable(EVERY, timezone="UTC")
    return AssetOrTimeSchedule(timetable=clock, assets=AssetAny(*assets.values())) if assets else clock
