"""Release pipelines as Airflow DAGs.

The values that operators take, and the timetable, are here (``from release_pipelines import Target``); operators, sensors, triggers, hooks and
notifiers are in the packages of these names. Everything else is private.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from release_pipelines import _moved
from release_pipelines._lazy import lazy

if TYPE_CHECKING:
    from release_pipelines.airflow.held_releases import held_releases as held_releases
    from release_pipelines.airflow.timetable import MaintenanceWindowTimetable as MaintenanceWindowTimetable
    from release_pipelines.core.model.analysis import Analysis as Analysis
    from release_pipelines.core.model.artifact import Artifact as Artifact
    from release_pipelines.core.model.stage import Stage as Stage
    from release_pipelines.core.model.target import RouterSettings as RouterSettings
    from release_pipelines.core.model.target import Target as Target
    from release_pipelines.core.model.target import Workload as Workload
    from release_pipelines.core.model.traffic import share_with as share_with

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "airflow.held_releases": ("held_releases",),
        "airflow.timetable": ("MaintenanceWindowTimetable",),
        "core.model.analysis": ("Analysis",),
        "core.model.artifact": ("Artifact",),
        "core.model.stage": ("Stage",),
        "core.model.target": ("RouterSettings", "Target", "Workload"),
        "core.model.traffic": ("share_with",),
    },
)

_moved.install()


def get_provider_info() -> dict[str, Any]:
    """Tell Airflow which connection types and links this package brings (entry point ``apache_airflow_provider``)."""
    from release_pipelines.airflow.provider_info import PROVIDER_INFO

    return PROVIDER_INFO
