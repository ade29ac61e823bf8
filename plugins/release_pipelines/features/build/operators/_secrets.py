"""Secrets of a build: read when it begins, and kept nowhere."""

from __future__ import annotations

import os
from collections.abc import Mapping

from release_pipelines.airflow.secrets import secret_value
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.ports.builder import Secret


def read_secrets(sources: Mapping[str, Mapping[str, str]]) -> dict[str, Secret]:
    """Ids to secrets.

    :param sources: ids to ``{"connection": …}``, ``{"variable": …}`` or ``{"file": …}``.
    :raises PlatformError: when one is not there.
    """
    return {name: _read(name, {key: it for key, it in source.items() if it}) for name, source in sources.items()}


def _read(name: str, source: Mapping[str, str]) -> Secret:
    where = f"Secret {name} of the build"
    [(kind, key)] = source.items()
    if kind == "file":
        if not os.access(key, os.R_OK) or os.path.isdir(key):
            raise PlatformError(f"{where}: this worker has no file {key} that can be read.")
        return Secret(path=key)
    return Secret(value=secret_value(where, kind, key, "builder"))
