"""What a registry says of images: whether two digests have the same ones."""

from __future__ import annotations

import logging

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
