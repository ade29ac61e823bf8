"""Release pipelines as Airflow DAGs."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def get_provider_info() -> dict[str, Any]:
    """Tell Airflow which connection types and links this package brings (entry point ``apache_airflow_provider``)."""
    from release_pipelines.airflow.provider_info import PROVIDER_INFO

    return PROVIDER_INFO
