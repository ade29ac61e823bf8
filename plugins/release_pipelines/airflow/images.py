"""The images of a digest, one for each platform, fetched from the registry by their digests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.core.errors import PlatformError

if TYPE_CHECKING:
    from release_pipelines.core.model.image import PlatformImage


def fetched(registry_conn_id: str, image: str, digest: str) -> Iterator[tuple[Path, PlatformImage]]:
    """Each platform's image in a folder of its own, as an OCI image layout, which goes when the next one is asked for.

    :param image: repository, with or without the registry's host.
    :param digest: of an image, or of an index.
    :raises PlatformError: when there is none, or the registry cannot tell what a digest is made of.
    """
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
