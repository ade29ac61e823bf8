"""What a build says that it pushed, compared with what the registry has: a tag may hold what was there before."""

from __future__ import annotations

import json
from typing import Any

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.ports.builder import REVISION
from release_pipelines.core.ports.registry import Images, Registry


def revisions(registry: Images, image: str, digest: str) -> dict[str, str | None]:
    """The commit that each platform's image says it was built from; None: it says none.

    :raises PlatformError: where an image, or what describes it, is gone or cannot be read.
    """
    found = registry.image(image, digest)
    if found is None or not found.platforms:
        raise PlatformError(f"The registry has no image {image}@{digest}.")
    return {it.platform: _revision(registry, image, it.digest) for it in found.platforms}


def _revision(registry: Images, image: str, digest: str) -> str | None:
    try:
        manifest: Any = json.loads(registry.read(image, digest))
        config: Any = json.loads(registry.read(image, manifest["config"]["digest"]))
        labels = (config.get("config") or {}).get("Labels") or {}
        return str(labels[REVISION]) if labels.get(REVISION) else None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PlatformError(
            f"What describes {image}@{digest} cannot be read: it is not known what it was built from."
        ) from None


def check_built(
    registry: Registry,
    image: str,
    tag: str,
    digest: str | None,
    commit: str | None,
    *,
    before: str | None = None,
    labelled: bool = True,
    says: str = "The build",
) -> str:
    """Whether a tag holds what a build made of a commit.

    :param digest: what the build says that it pushed.
    :param commit: the commit that was asked for; None: any.
    :param before: what the tag named before the build began; None: nothing.
    :param labelled: False: an image that says no commit will do, as its builder has proved which one it pushed.
    :param says: who built, for sentences.
    :return: the digest.
    :raises PlatformError: where it does not, or nobody can tell.
    """
    name = f"{registry.repository(image)}:{tag}"
    there = registry.digest_of(image, tag)
    if there is None:
        raise PlatformError(f"{says} pushed no {name}: the registry has no such tag.")
    if digest and there != digest:
        raise PlatformError(
            f"{says} pushed {digest}, but in the registry {name} is {there}: it was not pushed there, or somebody else pushes this version."
        )
    if commit and isinstance(registry, Images):
        check_commit(registry, image, there, commit, name, labelled=labelled)
    elif digest is None:
        raise PlatformError(
            f"{says} does not say which digest it pushed, and nothing in the registry says what {name} was built from."
        )
    elif before == digest and commit:
        raise PlatformError(
            f"{name} was {digest} before the build began, and the registry cannot tell which commit it was built from, {commit} was "
            "asked for: nothing says that this build made it."
        )
    return there


def check_commit(registry: Images, image: str, digest: str, commit: str, name: str, *, labelled: bool = True) -> None:
    """Whether an image was built from a commit, on each of its platforms.

    :param name: the image, for sentences.
    :raises PlatformError: where one of them was not, or does not say so.
    """
    found = revisions(registry, image, digest)
    for platform, revision in found.items():
        where = f" for {platform}" if len(found) > 1 else ""
        if revision is None and not labelled:
            continue
        if revision is None:
            raise PlatformError(
                f"{name}{where} does not say which commit it was built from, {commit} was asked for: "
                f"the label {REVISION} is expected."
            )
        if revision != commit:
            raise PlatformError(f"{name}{where} holds commit {revision}, {commit} was asked for.")
