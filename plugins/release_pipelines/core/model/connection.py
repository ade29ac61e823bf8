"""Address and credentials of an external system, as Airflow keeps them in a connection."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Connection:
    """An address with credentials. Its text shows nothing that may be secret.

    :param kind: what stands in Airflow as the connection's type; decides which builder or registry serves it.
    :param schema: a scheme, or the path of a connection that was written as a URI.
    :param name: the Airflow connection's id, for sentences.
    """

    kind: str = ""
    host: str | None = field(default=None, repr=False)
    port: int | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    schema: str | None = field(default=None, repr=False)
    name: str = ""
