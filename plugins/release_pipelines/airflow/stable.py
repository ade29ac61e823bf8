"""What runs on stable before a release changes anything: waited for, asked for, and never taken for nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.observation import Observed, TrackStatus
from release_pipelines.core.model.target import Target
from release_pipelines.core.stable import coming, unnamed

if TYPE_CHECKING:
    from release_pipelines.core.ports.platform import Platform

log = logging.getLogger(__name__)

COMING_SECONDS = 10.0
"""Maximum wait for a stable that was scaled or changed a moment ago, in seconds."""

LOOK_SECONDS = 0.5
"""Pause between two looks at it, in seconds."""


def known_stable(hook: PlatformHook, target: Target) -> Observed:
    """The app as it is observed, with the digest of what runs on stable. One that was changed a moment ago is waited for.

    :raises PlatformError: where something runs, and nobody knows its digest: there would be no way back to it.
    """

    async def look(platform: Platform) -> Observed:
        end = time.monotonic() + COMING_SECONDS
        while True:
            observed = await platform.observe(target)
            if not coming(observed) or time.monotonic() > end:
                return observed
            await asyncio.sleep(LOOK_SECONDS)

    return named_stable(target, hook.call(look))


def named_stable(target: Target, observed: Observed) -> Observed:
    """The observation, with the digest of what runs on stable.

    The platform says which digest replicas run; where it does not, the registry says what the image's tag names.

    :raises PlatformError: where something runs, and neither knows its digest.
    """
    if not unnamed(observed):
        return observed
    stable = observed.track("stable")
    digest, why = _asked(target, stable)
    if digest is None:
        raise PlatformError(
            f"What stable of {target.app} runs in {target.environment} cannot be named: its replicas of {stable.tagged} name no "
            f"digest, and {why}. So there would be no way back to it. Nothing was changed; an image by its digest, or by a tag "
            "that the registry knows, is expected there."
        )
    log.info("%s is %s, as the registry says: its replicas name no digest.", stable.tagged, digest)
    return observed.model_copy(
        update={"tracks": {**observed.tracks, "stable": stable.model_copy(update={"digest": digest})}}
    )


def _asked(target: Target, stable: TrackStatus) -> tuple[str | None, str]:
    """The digest that the registry has for stable's tag; else why not, as a part of a sentence."""
    registry = RegistryHook(target.registry_connection).get_conn()
    image = stable.image
    if not image or not registry.host or not image.startswith(f"{registry.host}/"):
        return None, f"its image is not of the registry of connection `{target.registry_connection}`"
    try:
        digest = registry.digest_of(image, stable.version or "latest")
    except PlatformError as error:
        return None, f"the registry does not say: {str(error).rstrip('.')}"
    return digest, "the registry has no such tag"
