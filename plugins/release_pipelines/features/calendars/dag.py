"""The DAG that fetches calendars that are kept elsewhere."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG

from release_pipelines.airflow.words import describe
from release_pipelines.features.calendars.operators import FetchCalendarOperator
from release_pipelines.spec.calendars import CalendarSpec, calendar_files
from release_pipelines.spec.copies import DAG_ID, EVERY_MINUTES, read_spec


def calendars_dag(folder: Path) -> DAG | None:
    """The DAG ``release_calendars``: a task for each calendar that is kept elsewhere. None where there is none.

    :param folder: of the calendars' files. One that cannot be read is left out: whoever asks it is told why.
    """
    specs = [it for it in map(read_spec, calendar_files(folder)) if isinstance(it, CalendarSpec) and it.source]
    if not specs:
        return None
    with DAG(
        dag_id=DAG_ID,
        description="Fetches the calendars that are kept elsewhere",
        schedule=f"*/{EVERY_MINUTES} * * * *",
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        dagrun_timeout=timedelta(minutes=2 * EVERY_MINUTES),
        tags=["release"],
        default_args={"owner": "release-managers", "execution_timeout": timedelta(minutes=EVERY_MINUTES)},
        doc_md="# Calendars\n\nFetches each calendar that is kept elsewhere, and keeps it as the last good copy. A task that fails says why; "
        "until the calendar's `max_age` its copy counts, then it is closed.",
    ) as dag:
        for spec in specs:
            FetchCalendarOperator(task_id=spec.name, calendar=spec.name, folder=folder)
    describe(dag)
    return dag
