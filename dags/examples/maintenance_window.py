"""Windows in a DAG without an app file: wait for one, and look again before the second half of the work.

The calendar is `include/calendars/business-hours.yaml`. The wait holds no worker slot, however long it takes.
"""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from release_pipelines.operators import WindowBranchOperator
from release_pipelines.sensors import ReleaseWindowSensor

CALENDARS = ["business-hours"]

with DAG(
    dag_id="maintenance_window",
    description="Works while a window is open, and leaves the rest for the next one",
    schedule=None,
    tags=["example"],
) as dag:
    opens = ReleaseWindowSensor(task_id="opens", calendars=CALENDARS)
    first = EmptyOperator(task_id="first_half")
    still = WindowBranchOperator(
        task_id="still_open", calendars=CALENDARS, if_open="second_half", if_closed="next_time"
    )
    opens >> first >> still >> [EmptyOperator(task_id="second_half"), EmptyOperator(task_id="next_time")]
