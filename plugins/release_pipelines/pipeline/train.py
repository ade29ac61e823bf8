"""How a train is put together: one DAG from one file. Each app is released by its own DAG; here they only get their order.

There are no gates: a task that fails leaves everything behind it undone, but for the way back, which runs in every case, and skips itself where the
train did not stop.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Param, TaskGroup, TriggerRule

from release_pipelines.airflow.forms import TRIES, TRY_SECONDS, optional, requested_by
from release_pipelines.airflow.groups import LAST_ENVIRONMENT_COLOUR
from release_pipelines.airflow.timetable import MaintenanceWindowTimetable
from release_pipelines.airflow.words import describe
from release_pipelines.core.templates import field, xcom
from release_pipelines.features.approval.operators.train import TrainApprovalOperator
from release_pipelines.features.train.operators.ending import (
    RecordTrainOperator,
    TrainAnnounceOperator,
    TrainTakeBackOperator,
)
from release_pipelines.features.train.operators.planning import VERSION_OF, TrainPreflightOperator, TrainReserveOperator
from release_pipelines.features.train.operators.waves import (
    TrainAppOperator,
    TrainBakeOperator,
    TrainGateOperator,
    TrainWindowOperator,
)
from release_pipelines.spec.trains import FORM, TrainSpec, train_dag_id

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

PREFLIGHT, APPROVAL, RESERVE, BAKE = "preflight", "approval", "reserve", "bake"


def train_dags(specs: Iterable[TrainSpec], apps: Path, config: Path) -> dict[str, DAG]:
    """The DAGs of several trains, by their ids.

    :param apps: folder of the app files.
    :param config: folder of the environment files.
    """
    return {train_dag_id(spec.name): train_dag(spec, apps, config) for spec in specs}


def train_dag(spec: TrainSpec, apps: Path, config: Path) -> DAG:
    """The DAG ``train_<name>`` of a train."""
    waves = spec.in_waves
    with DAG(
        dag_id=train_dag_id(spec.name),
        description=spec.description or f"Releases {', then '.join(' and '.join(wave) for wave in waves)}",
        schedule=_schedule(spec),
        catchup=False,
        max_active_runs=1,
        tags=["release", "train"],
        default_args={"owner": spec.owner, "retries": TRIES, "retry_delay": TRY_SECONDS},
        params=_form(spec),
        doc_md=_guide(spec),
    ) as dag:
        _Train(spec, apps, config).build()
    describe(dag)
    return dag


class _Train:
    """Makes the tasks of a train, one after the other, and keeps which wave each belongs to."""

    def __init__(self, spec: TrainSpec, apps: Path, config: Path) -> None:
        self.spec = spec
        self.files: dict[str, Any] = {"apps": apps, "config": config}
        self.given: dict[str, Any] = {"spec": spec, **self.files, "release": field(PREFLIGHT, "release")}
        self.waves_of: dict[str, int | None] = {}
        """Tasks in the order in which they work, to the number of their wave."""

    def build(self) -> None:
        preflight = self._kept(TrainPreflightOperator(task_id=PREFLIGHT, spec=self.spec, **self.files))
        approval = self._kept(
            TrainApprovalOperator(
                task_id=APPROVAL,
                train=self.spec,
                **self.files,
                preflight=xcom(PREFLIGHT),
                release=self.given["release"],
            )
        )
        last: Any = preflight >> approval >> self._kept(TrainReserveOperator(task_id=RESERVE, **self.given))
        for number, names in enumerate(self.spec.in_waves, 1):
            last = self._wave(number, names, last)
        if self.spec.bake:
            last = last >> self._kept(TrainBakeOperator(task_id=BAKE, **self.given))
        self._end(preflight, last)

    def _wave(self, number: int, names: list[str], before: Any) -> Any:
        tooltip = f"Wave {number}: {', '.join(names)}, each by its own DAG"
        with TaskGroup(group_id=f"wave_{number}", ui_color=LAST_ENVIRONMENT_COLOUR, tooltip=tooltip):
            if self.spec.keeps_to:
                before = before >> self._kept(TrainWindowOperator(task_id="window", wave=number, **self.given), number)
            apps = [self._kept(TrainAppOperator(task_id=f"app_{it}", app=it, **self.given), number) for it in names]
            held = self._kept(TrainGateOperator(task_id="held", wave=number, **self.given), number)
        before >> apps >> held
        return held

    def _end(self, preflight: Any, last: Any) -> None:
        """The way back, what is announced, and the outcome; they run in every case."""
        whatever = {"trigger_rule": TriggerRule.ALL_DONE}
        back = TrainTakeBackOperator(task_id="take_back", tasks=self.waves_of, **self.given, **whatever)
        announce = TrainAnnounceOperator(task_id="announce", **self.given, **whatever)
        outcome = RecordTrainOperator(
            task_id="outcome", tasks=list(self.waves_of), approval=APPROVAL, preflight=PREFLIGHT, **self.given
        )
        last >> back >> announce >> outcome.as_teardown(on_failure_fail_dagrun=True)

    def _kept(self, operator: BaseOperator, wave: int | None = None) -> Any:
        self.waves_of[operator.task_id] = wave
        return operator


def _schedule(spec: TrainSpec) -> Any:
    """When runs begin; None: by hand alone."""
    timetable: Any = MaintenanceWindowTimetable
    return timetable(*spec.schedule) if spec.schedule else None


def _form(spec: TrainSpec) -> dict[str, Param]:
    versions = {
        VERSION_OF + app: optional(f"Version of {app}", "Empty: the train leaves it out.") for app in spec.all_apps
    }
    return {
        **(versions if spec.versions == FORM else {}),
        "notes": optional("Notes", "For the approvers, and kept in the history."),
        "requested_by": requested_by(),
    }


def _guide(spec: TrainSpec) -> str:
    source = spec.versions if isinstance(spec.versions, str) else f"{spec.versions.path} in {spec.versions.repository}"
    lines = [f"# Train {spec.name}", "", spec.description, ""]
    lines += [f"{number}. {', '.join(wave)}" for number, wave in enumerate(spec.in_waves, 1)]
    lines += ["", f"Versions: {source}. If it stops, it takes back: {spec.compensate}."]
    return "\n".join(lines)
