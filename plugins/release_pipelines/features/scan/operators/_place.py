"""Where the program of a scanner runs: on the worker, or in a container."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager

from release_pipelines.core.model.limits import Limits

log = logging.getLogger(__name__)

SILENCE = 60.0
"""How much longer than the program an engine may be silent, in seconds."""


@contextmanager
def within(image: str | None, engine_conn_id: str, registry_conn_id: str, limits: Limits) -> Iterator[None]:
    """Programs of scanners that are run meanwhile run in containers of an image.

    :param image: by digest or tag; None: on this worker.
    :raises PlatformError: when there is no such image, or the engine or the registry do not answer.
    """
    if image is None:
        yield
        return
    from release_pipelines.adapters import tools
    from release_pipelines.adapters.tools.containers import Container
    from release_pipelines.airflow.hooks.engine import EngineHook
    from release_pipelines.airflow.hooks.registry import RegistryHook
    from release_pipelines.airflow.images import pinned

    pinned_image = pinned(image, registry_conn_id)
    log.info("The scanner runs in a container of %s.", pinned_image)
    login = RegistryHook(registry_conn_id).get_conn().login
    ours = login if login is not None and pinned_image.startswith(f"{login.host}/") else None
    client = EngineHook(engine_conn_id).get_conn(limits.timeout + SILENCE)
    with closing(client), tools.inside(Container(client, pinned_image, ours)):
        yield
