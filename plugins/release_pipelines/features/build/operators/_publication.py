"""How an image is pushed by its builder at once, from what an app's file asks for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from release_pipelines.core.ports.builder import Publication
    from release_pipelines.core.ports.registry import Registry

CACHE_TAG = "buildcache"
"""The tag under which steps are kept in the registry: no version is called so."""


def publication_of(
    name: str,
    registry: Registry | None,
    *,
    platforms: Sequence[str],
    cache: str | None,
    provenance: bool,
    epoch: int | None,
) -> Publication:
    """See :class:`~release_pipelines.core.ports.builder.Publication`.

    :param name: the image's name, with the registry's host.
    :param cache: ``registry`` or None.
    """
    from release_pipelines.core.ports.builder import Publication

    kept = f"{name}:{CACHE_TAG}" if cache == "registry" else None
    insecure = bool(getattr(registry, "insecure", False))
    return Publication(name, tuple(platforms), kept, provenance, epoch, insecure)


def prepared(registry: Registry, image: str) -> None:
    """Let a registry create the repository of an image, where it can and is to, before anything is pushed there."""
    prepare = getattr(registry, "prepare", None)
    if prepare is not None:
        prepare(image)


def epoch_of(moment: str) -> int:
    """Seconds since 1970 of a time as RFC 3339."""
    return int(datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp())
