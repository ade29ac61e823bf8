"""Waits for scans of a registry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from release_pipelines.airflow.hooks.aws import container_registry
from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.model.image import PlatformImage


class EcrImageScanTrigger(BaseTrigger):
    """Fires once Amazon ECR has looked at all images, cannot, or is not waited for any more. The findings are read by the task.

    :param image: the repository, with or without the registry's host.
    :param platforms: the images, as dicts of :class:`~release_pipelines.core.model.image.PlatformImage`.
    :param aws_conn_id: connection of AWS.
    :param region: None: the image's, or the connection's.
    :param end: until when it is waited for, in seconds since 1970.
    :param interval: how often it is asked, in seconds.
    """

    def __init__(
        self,
        *,
        image: str,
        platforms: list[dict[str, Any]],
        aws_conn_id: str | None,
        region: str | None,
        end: float,
        interval: float,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "image": image,
            "platforms": platforms,
            "aws_conn_id": aws_conn_id,
            "region": region,
            "end": end,
            "interval": interval,
        }

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where it is, and what it is made of."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self.arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask until there is an answer."""
        while time.time() < self.arguments["end"]:
            if await asyncio.to_thread(self._over):
                break
            await asyncio.sleep(min(self.arguments["interval"], max(self.arguments["end"] - time.time(), 0)))
        yield TriggerEvent({"end": self.arguments["end"]})

    def _over(self) -> bool:
        """Whether there is nothing to wait for."""
        from release_pipelines.adapters.image_scanners import _ecr

        repository = _ecr.repository_of(self.arguments["image"])
        try:
            client = container_registry(self.arguments["aws_conn_id"], self.arguments["region"] or repository.region)
            images = [PlatformImage.model_validate(it) for it in self.arguments["platforms"]]
            return not any(isinstance(_ecr.look(client, repository, it), str) for it in images)
        except PlatformUnavailable:
            return False
        except PlatformError:
            return True  # the task says it
