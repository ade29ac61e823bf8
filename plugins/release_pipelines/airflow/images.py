"""What a registry says of images: whether two digests have the same ones; each platform's image of a digest, fetched; a tag's digest."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from release_pipelines.core.model.image import PlatformImage

log = logging.getLogger(__name__)


def same(registry_conn_id: str, image: str, one: str, other: str) -> bool:
    """Whether two digests of a repository are the same image for each platform (R17).

    A registry that is away, or that cannot tell what a digest is made of, leaves nothing to compare but the digests.

    :param registry_conn_id: the registry's connection.
    :param image: the repository, with or without the registry's host.
    """
    if one == other:
        return True
    from airflow.sdk.exceptions import AirflowNotFoundException

    from release_pipelines.airflow.hooks.registry import RegistryHook
    from release_pipelines.core.errors import ReleaseError
    from release_pipelines.core.model.image import same_images
    from release_pipelines.core.ports.registry import Images

    try:
        registry = RegistryHook(registry_conn_id).get_conn()
        if not isinstance(registry, Images):
            return False
        found = [registry.image(image, it) for it in (one, other)]
    except (ReleaseError, AirflowNotFoundException) as error:
        log.warning("The images of %s and %s could not be compared, their digests count: %s", one, other, error)
        return False
    return found[0] is not None and found[1] is not None and same_images(found[0], found[1])


def fetched(registry_conn_id: str, image: str, digest: str) -> Iterator[tuple[Path, PlatformImage]]:
    """Each platform's image in a folder of its own, as an OCI image layout, which goes when the next one is asked for.

    :param image: repository, with or without the registry's host.
    :param digest: of an image, or of an index.
    :raises PlatformError: when there is none, or the registry cannot tell what a digest is made of.
    """
    from release_pipelines.airflow.hooks.registry import RegistryHook
    from release_pipelines.core.errors import PlatformError
    from release_pipelines.core.ports.registry import Images

    registry = RegistryHook(registry_conn_id).get_conn()
    if not isinstance(registry, Images):
        raise PlatformError(f"The registry {registry.host} cannot tell what a digest is made of.")
    whole = registry.image(image, digest)
    if whole is None:
        raise PlatformError(f"The registry has no image {registry.repository(image)}@{digest}.")
    if not whole.platforms:
        raise PlatformError(f"{registry.repository(image)}@{digest} is of no platform: there is no image to look at.")
    for it in whole.platforms:
        with tempfile.TemporaryDirectory(prefix="image-") as folder:
            registry.fetch(image, it.digest, Path(folder))
            yield Path(folder), it


def pinned(image: str, registry_conn_id: str) -> str:
    """An image's reference by digest.

    :param image: ``name@sha256:…``, or ``name:tag``, with or without a registry's host; without one it is the connection's.
    :param registry_conn_id: the environment's registry.
    :raises PlatformError: when there is no such image, or its registry does not answer or refuses.
    """
    if "@" in image:
        return image
    import re

    from release_pipelines.airflow.hooks.registry import RegistryHook
    from release_pipelines.core.errors import PlatformError
    from release_pipelines.core.model.connection import Connection
    from release_pipelines.core.ports.registry import registry

    match = re.fullmatch(r"(.+?)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?", image)
    name, tag = (match[1], match[2] or "latest") if match else (image, "latest")
    own = RegistryHook(registry_conn_id).get_conn()
    host, _, rest = name.partition("/")
    elsewhere = rest and ("." in host or ":" in host or host == "localhost") and own.repository(name) != name
    asked = registry(Connection(host=host)) if elsewhere else own  # without credentials: these are the environment's
    full = asked.repository(name)
    digest = asked.digest_of(name, tag)
    if digest is None:
        raise PlatformError(f"The registry has no image {full}:{tag}: push it, or name another.")
    return f"{full}@{digest}"
