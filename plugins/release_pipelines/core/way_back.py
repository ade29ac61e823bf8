"""Whether a release could be taken back: what of the version to go back to is gone from the registry (R8). Pure but for what it asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.image import Image
from release_pipelines.core.ports.registry import Images, Registry

OLDER = 10
"""So many older versions are looked at for one that is whole."""


def missing(
    registry: Registry, artifact: Artifact, platforms: Sequence[str] = (), tags: Sequence[str] = ()
) -> list[str]:
    """What of an image is gone from the registry, in words; empty: it is whole.

    :param platforms: those of the machines; empty: all that the image has.
    :param tags: how the version may be tagged: where its digest is gone, what they name now is said.
    :raises PlatformError: where nobody can tell.
    """
    if not isinstance(registry, Images):
        raise PlatformError(f"The registry {registry.host} does not say what a digest is made of.")
    if registry.host and registry.repository(artifact.image) != artifact.image:
        raise PlatformError(f"{artifact.image} is not in the registry {registry.host}.")
    image = registry.image(artifact.image, artifact.digest)
    if image is None:
        return [f"{artifact.digest}{_moved(registry, artifact, tags)}"]
    return [*_never_there(image, platforms), *(it for it in registry.lacks(image) if _counts(it, image, platforms))]


def sentence(app: str, version: str, gone: Sequence[str], instead: Artifact | None) -> str:
    """What is worth knowing, or stands in the way; without a full stop."""
    more = f", and {len(gone) - 1} more" if len(gone) > 1 else ""
    offer = (
        f"the next older version that is whole is {instead.version} ({instead.digest})"
        if instead
        else "no older version that was good is whole there either"
    )
    return f"{app} {version} could not be rolled back to: {gone[0]} is gone from the registry{more}; {offer}"


def first_whole(registry: Registry, older: Iterable[Artifact], platforms: Sequence[str] = ()) -> Artifact | None:
    """The first of them that is whole, among the first few; one that cannot be asked for is not."""
    for it in islice(older, OLDER):
        try:
            if not missing(registry, it, platforms):
                return it
        except PlatformError:
            continue
    return None


def _moved(registry: Registry, artifact: Artifact, tags: Sequence[str]) -> str:
    for tag in tags:
        if now := registry.digest_of(artifact.image, tag):
            return f", whose tag {tag} names {now} now,"
    return ""


def _never_there(image: Image, platforms: Sequence[str]) -> Iterator[str]:
    known = {it.platform for it in image.platforms}
    return (f"an image for {it}" for it in platforms if it not in known and known != {"unknown"})


def _counts(gone: str, image: Image, platforms: Sequence[str]) -> bool:
    """Whether what is gone is needed: the digest itself, or something of a platform in use."""
    platform = gone.partition(" ")[0]
    others = {it.platform for it in image.platforms} - set(platforms or [it.platform for it in image.platforms])
    return platform not in others
