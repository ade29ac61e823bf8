"""What a release DAG file costs to parse, over an empty DAG file: in a task's process and in the DAG processor's."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.table import Skip, table

ROOT = Path(__file__).resolve().parents[1]
RUNS = 5
TASK_ID = "production.step_10"
"""A task that judges: one of those that there are most of."""
EMPTY = "from airflow.sdk import DAG\n\ndag = DAG('empty', schedule=None)\n"

# What the parent of a task's process has imported before it forks costs the task nothing, so it is imported first here;
# and as Airflow does before it forks, it is kept away from the garbage collector.
CHILD = """
import gc, sys, time
import airflow.sdk, airflow.sdk.execution_time.task_runner, airflow.sdk.execution_time.supervisor
import airflow.executors.local_executor, airflow.jobs.scheduler_job_runner
from airflow.dag_processing.dagbag import BundleDagBag
file, folder = sys.argv[1:3]
gc.freeze()
begun, worked = time.perf_counter(), time.process_time()
bag = BundleDagBag(dag_folder=file, bundle_path=folder, bundle_name="benchmark", safe_mode=False, load_op_links=False)
took, worked = time.perf_counter() - begun, time.process_time() - worked
if bag.import_errors:
    sys.exit(next(iter(bag.import_errors.values())))
print(took * 1000, worked * 1000, len(bag.dags))
"""


def environment(home: Path, apps: Path, dag_id: str | None) -> dict[str, str]:
    """Variables of one parsing process; with ``dag_id`` it parses as a task of that DAG would."""
    dropped = ("AIRFLOW", "_AIRFLOW", "PYTHONDONTWRITEBYTECODE", "RELEASE_PIPELINES_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    asked = {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": dag_id, "_AIRFLOW_PARSING_CONTEXT_TASK_ID": TASK_ID} if dag_id else {}
    return {
        **kept,
        **asked,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "PYTHONPATH": str(ROOT),
        "RELEASE_PIPELINES_APPS": str(apps),
        "RELEASE_PIPELINES_STATE": str(home / "state"),
    }


def parse(file: Path, variables: dict[str, str]) -> tuple[float, float, int]:
    """Milliseconds, CPU milliseconds and number of DAGs of one parse in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(file), str(file.parent)], env=variables, capture_output=True, text=True
    )
    if done.returncode:
        raise Skip(f"{file.name} cannot be parsed: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    took, worked, dags = done.stdout.split()[-3:]
    return float(took), float(worked), int(dags)


def make_apps(folder: Path, count: int) -> str:
    """``count`` copies of the sample app's file under names of their own; returns the first one's DAG id."""
    folder.mkdir()
    text = (ROOT / "include" / "apps" / "storefront.yaml").read_text()
    for n in range(count):
        (folder / f"app-{n}.yaml").write_text(text.replace("name: storefront", f"name: app-{n}", 1))
    return "release_app_0"


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        empty = home / "empty.py"
        empty.write_text(EMPTY)
        one, many = make_apps(home / "one", 1), make_apps(home / "many", 200)
        releases = ROOT / "dags" / "releases.py"
        cases = {
            "empty DAG file": (empty, environment(home, home / "one", None)),
            "task, 1 app": (releases, environment(home, home / "one", one)),
            "task, 200 apps": (releases, environment(home, home / "many", many)),
            "DAG processor, 1 app": (releases, environment(home, home / "one", None)),
            "DAG processor, 200 apps": (releases, environment(home, home / "many", None)),
        }
        for file, variables in cases.values():  # bytecode, and the last valid copies of the app files
            parse(file, variables)
        wall: dict[str, list[float]] = {case: [] for case in cases}
        cpu: dict[str, list[float]] = {case: [] for case in cases}
        dags = {}
        for _ in range(RUNS):  # in turns: a busy moment of the machine hits all of them
            for case, (file, variables) in cases.items():
                took, worked, dags[case] = parse(file, variables)
                wall[case].append(took)
                cpu[case].append(worked)
    empty_wall, empty_cpu = statistics.median(wall["empty DAG file"]), statistics.median(cpu["empty DAG file"])
    table(
        f"Parse time of a DAG file in a fresh process, milliseconds (median of {RUNS})",
        ["", "DAGs", "ms", "over empty", "CPU ms", "over empty", "target"],
        [
            [
                case,
                str(dags[case]),
                f"{(took := statistics.median(wall[case])):.0f}",
                f"{took - empty_wall:+.0f}",
                f"{(worked := statistics.median(cpu[case])):.0f}",
                f"{worked - empty_cpu:+.0f}",
                {"task, 1 app": "<= +100", "task, 200 apps": "<= +200"}.get(case, ""),
            ]
            for case in cases
        ],
    )
