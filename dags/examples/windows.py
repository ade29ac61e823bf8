"""A DAG that begins when a window opens, and one step of it that waits for a window of its own.

The calendar is `include/calendars/business-hours.yaml`; docs/calendars.md says what stands in such a file.
"""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from release_pipelines import MaintenanceWindowTimetable
from release_pipelines.operators import WindowBranchOperator
from release_pipelines.sensors import ReleaseWindowSensor

with DAG(
    dag_id="reindex_in_windows",
    description="Reindexes in working hours, and says so where they are over",
    schedule=MaintenanceWindowTimetable("business-hours"),
    tags=["example"],
) as dag:
    still_open = WindowBranchOperator(
        task_id="still_open", calendars=["business-hours"], if_open="reindex", if_closed="too_late"
    )
    reindex = EmptyOperator(task_id="reindex")
    too_late = EmptyOperator(task_id="too_late")
    wait = ReleaseWindowSensor(task_id="wait", calendars=["business-hours"], app="search", environment="production")
    swap_index = EmptyOperator(task_id="swap_index")

    still_open >> [reindex, too_late]
    reindex >> wait >> swap_index
