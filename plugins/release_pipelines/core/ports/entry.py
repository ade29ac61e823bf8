"""Requests to the address where an environment's traffic enters."""

from __future__ import annotations

from typing import Protocol

from release_pipelines.core.model.observation import Answer
from release_pipelines.core.model.target import Target


class AskEntry(Protocol):
    """A GET request like anybody's, through the environment's proxy."""

    async def __call__(self, target: Target, path: str) -> Answer | None:
        """GET ``path`` (like ``/``); None if there is no answer."""
