"""All that goes with an image in a registry: what it is made of, and what is attached to any of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release_pipelines.adapters.registries._reading import fallback_tag
from release_pipelines.core.errors import PlatformError

if TYPE_CHECKING:
    from release_pipelines.adapters.registries._reading import Reader

MOST = 2_000
"""So many manifests go with one image at most."""


def belonging(registry: Reader, image: str, digest: str, tags: dict[str, str]) -> frozenset[str]:
    """The digests that go with one: the images of platforms, attestations, and what is attached to any of them, and so on.

    :param tags: all tags of the repository with their digests: clients keep signatures under tags like ``sha256-….sig``.
    """
    found: set[str] = set()
    left = [digest]
    while left:
        if len(found) > MOST:
            raise PlatformError(
                f"More than {MOST:,} manifests go with {image}@{digest}: nobody can say what may be deleted."
            )
        one = left.pop()
        parts = registry.image(image, one) if one == digest else None
        more = {it.digest for it in [*parts.platforms, *parts.attestations]} if parts else set()
        more |= {it.digest for it in registry.referrers(image, one)}
        more |= {it for tag, it in tags.items() if tag.partition(".")[0] == fallback_tag(one)}
        left += sorted(more - found - {digest})
        found |= more
    return frozenset(found - {digest})
