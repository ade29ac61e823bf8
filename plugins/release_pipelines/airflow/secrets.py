"""Secrets that a file names: an Airflow connection's password, or a variable. Read right before they are used, and kept nowhere."""

from __future__ import annotations

from collections.abc import Mapping

from release_pipelines.core.errors import PlatformError

MASK = "***"


def secret_values(sources: Mapping[str, Mapping[str, str | None]]) -> dict[str, str]:
    """Names to secrets.

    :param sources: names to ``{"connection": …}`` or ``{"variable": …}``.
    :raises PlatformError: when one is not there.
    """
    return {name: _read(name, {key: it for key, it in source.items() if it}) for name, source in sources.items()}


def without_secrets(text: str, secrets: Mapping[str, str]) -> str:
    """A text in which no secret stands any more."""
    for secret in sorted(secrets.values(), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def secret_value(where: str, kind: str, key: str, taker: str) -> str:
    """The secret in a connection's password, or in a variable.

    :param where: what a sentence begins with, like ``Secret npm of the build``.
    :param kind: ``connection`` or ``variable``.
    :param key: its id or name.
    :param taker: what it is for: ``builder``, or ``variable`` of a command.
    :raises PlatformError: when it is not there, or cannot be taken.
    """
    from airflow.sdk import BaseHook, Variable
    from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

    value: str | None
    try:
        value = BaseHook.get_connection(key).password if kind == "connection" else Variable.get(key)
    except (AirflowNotFoundException, AirflowRuntimeError, KeyError):
        raise PlatformError(f"{where}: Airflow has no {kind} {key}.") from None
    if not value:
        raise PlatformError(f"{where}: the {kind} {key} has no {'password' if kind == 'connection' else 'value'}.")
    if "\0" in value:
        raise PlatformError(f"{where}: the {kind} {key} has a NUL character in it, which no {taker} takes.")
    return value


def _read(name: str, source: Mapping[str, str]) -> str:
    [(kind, key)] = source.items()
    return secret_value(f"Secret {name}", kind, key, "variable")
