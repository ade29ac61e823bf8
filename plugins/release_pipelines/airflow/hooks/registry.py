"""Airflow connection of kind ``registry`` → an image registry."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from release_pipelines.airflow.connections import values_of
from release_pipelines.core.errors import PlatformError, ReleaseError

if TYPE_CHECKING:
    from airflow.sdk import Connection as AirflowConnection

    from release_pipelines.adapters.registries.ecr import Ecr
    from release_pipelines.core.model.connection import Connection
    from release_pipelines.core.ports.registry import Registry


log = logging.getLogger(__name__)
_logged_in: dict[str, Ecr] = {}
"""Registries of ECR by all that their connections say: a login is good for hours, and every task that looks at a platform needs one."""


def _ecr(values: Connection) -> Ecr:
    from release_pipelines.adapters.registries.ecr import Ecr
    from release_pipelines.airflow.hooks.aws import ecr

    own = values.kind == "aws"
    return Ecr(values, ecr(values.name if own else str(values.extra.get("aws_conn_id") or "aws_default"), values))


def with_login(connection: AirflowConnection) -> Connection:
    """A registry's connection with the login by which engines and clusters pull: Amazon ECR's is made of other credentials.

    Where AWS gives none there is none: what runs can be looked at, and put back, without it.
    """
    from release_pipelines.adapters.registries.ecr import is_ecr

    values = values_of(connection)
    if not is_ecr(values):
        return values
    known = repr((values.kind, values.name, values.host, sorted(map(str, values.extra.items()))))
    try:
        registry = _logged_in[known] = _logged_in.get(known) or _ecr(values)
        login = registry.login
    except ReleaseError as error:
        log.warning("Images are pulled without a login: %s", error)
        return replace(values, login=None, password=None)
    assert login is not None  # noqa: S101 - ECR always has one
    return replace(values, host=registry.host, port=None, schema=None, login=login.user, password=login.password)


class RegistryHook(BaseHook):
    """An image registry. Its connection's host is the name in images; extra ``{"insecure": true}`` is plain http.

    Amazon ECR by a connection of type ``aws``, or by one whose host is ECR's: then extra ``aws_conn_id`` names the credentials
    (default: ``aws_default``).

    :param registry_conn_id: the connection.
    """

    conn_name_attr = "registry_conn_id"
    default_conn_name = "registry"
    conn_type = "registry"
    hook_name = "Image registry"

    def __init__(self, registry_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.registry_conn_id = registry_conn_id

    def get_conn(self) -> Registry:
        """The registry: of the OCI distribution's API, or what another package brings for the connection's type."""
        from release_pipelines.adapters.registries.ecr import Ecr, is_ecr
        from release_pipelines.core.ports.registry import registry

        values = values_of(self.get_connection(self.registry_conn_id))
        if is_ecr(values):
            from release_pipelines.airflow.hooks.aws import ecr

            own = values.kind == "aws"
            return Ecr(
                values,
                ecr(self.registry_conn_id if own else str(values.extra.get("aws_conn_id") or "aws_default"), values),
            )
        return registry(values)

    def repository(self, image: str) -> str:
        """See :meth:`~release_pipelines.core.ports.registry.Registry.repository`."""
        return self.get_conn().repository(image)

    def digest_of(self, image: str, tag: str) -> str | None:
        """See :meth:`~release_pipelines.core.ports.registry.Registry.digest_of`."""
        return self.get_conn().digest_of(image, tag)

    def test_connection(self) -> tuple[bool, str]:
        """What the Test button of Airflow's connection form does."""
        try:
            return True, self.get_conn().check()
        except PlatformError as error:
            return False, str(error)
