"""How the command reaches Airflow's REST API: by what CI jobs use, else by the connection with which releases put notes on their runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from release_pipelines.cli.where import airflows_connection

if TYPE_CHECKING:
    from release_pipelines.adapters.airflow_api import AirflowApi

CONNECTION = "AIRFLOW_CONN_AIRFLOW_API"
NAME = "airflow_api"


def open_api() -> AirflowApi:
    """Airflow's REST API.

    :raises ValueError: where it is not known where Airflow is, or who asks.
    """
    from release_pipelines.adapters.airflow_api import AirflowApi
    from release_pipelines.adapters.history.address import parts_in
    from release_pipelines.core.model.connection import Connection

    if url := os.environ.get("AIRFLOW_URL"):
        user, token = os.environ.get("AIRFLOW_USER"), os.environ.get("AIRFLOW_TOKEN")
        if not token and not user:
            raise ValueError("Airflow does not know who asks: set AIRFLOW_TOKEN, or AIRFLOW_USER and AIRFLOW_PASSWORD.")
        login, password = (None, token) if token else (user, os.environ.get("AIRFLOW_PASSWORD"))
        return AirflowApi(Connection(kind="http", host=url, login=login, password=password))
    said = os.environ.get(CONNECTION) or airflows_connection(NAME)
    if not said:
        raise ValueError(
            "It is not known where Airflow is: set AIRFLOW_URL with AIRFLOW_TOKEN, or with AIRFLOW_USER and AIRFLOW_PASSWORD; or "
            f"its connection `{NAME}`."
        )
    try:
        parts = parts_in(said)
    except ValueError:
        raise ValueError(
            f"{CONNECTION} cannot be read: JSON or a URI like http://user:password@host is expected."
        ) from None
    return AirflowApi(Connection(kind=parts.pop("conn_type"), name=NAME, **parts))
