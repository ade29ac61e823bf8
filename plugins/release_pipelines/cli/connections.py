"""Airflow connections where there is no Airflow: what ``AIRFLOW_CONN_…`` variables, or options, say of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from release_pipelines.core.model.connection import Connection


def variable_of(name: str) -> str:
    """The variable that a connection is read from."""
    return f"AIRFLOW_CONN_{name.upper()}"


def connection_here(name: str) -> Connection | None:
    """A connection in the variables of this process; None where there is none of that name.

    :raises ValueError: when it cannot be read.
    """
    text = os.environ.get(variable_of(name))
    return connection_in(text, variable_of(name), name) if text else None


def connection_in(text: str, where: str, name: str = "") -> Connection:
    """A connection as JSON or as a URI.

    :param where: where the text is from, for the sentence.
    :raises ValueError: when it cannot be read. Nothing of the text is in its message, which may have the password.
    """
    from release_pipelines.adapters.history.address import parts_in
    from release_pipelines.core.model.connection import Connection

    try:
        parts = parts_in(text)
    except ValueError:
        raise ValueError(f"{where} cannot be read: a connection as JSON or as a URI is expected.") from None
    extra = parts["extra"] if isinstance(parts["extra"], dict) else {}
    return Connection(kind=parts.pop("conn_type"), **{**parts, "extra": extra, "name": name})
