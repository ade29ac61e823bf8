"""An auth manager whose people may read and run the DAGs that a test names."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

READ: dict[str, set[str]] = {}
"""DAG ids that a person may read, by the person's name; ``*``: all."""
RUN: dict[str, set[str]] = {}
"""DAG ids of which a person may start and change runs."""


class AuthManager(SimpleAuthManager):
    """Rights by DAG, as FAB and Keycloak have them."""

    def is_authorized_dag(
        self,
        *,
        method: str,
        user: SimpleAuthManagerUser,
        access_entity: Any = None,
        details: Any = None,
    ) -> bool:
        """Whether a person may do this with a DAG; without a DAG: with any."""
        may = READ if method == "GET" else RUN
        mine = may.get(user.get_name(), set())
        return bool(mine) if details is None or details.id is None else "*" in mine or details.id in mine
