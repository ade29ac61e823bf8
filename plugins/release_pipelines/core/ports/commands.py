"""The commands that people give to one release."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from release_pipelines.core.model.command import Command


class CommandSource(Protocol):
    """The recorded commands of one release."""

    async def read(self) -> list[Command]:
        """All commands, oldest first, answered ones too; the last known ones while their store is unavailable."""

    async def wait_for_change(self, known: Collection[int], seconds: float) -> None:
        """Wait until the commands are others than those with the ids ``known``, for at most ``seconds``."""

    async def answer(self, command: Command, effect: str) -> None:
        """Record what a command did. Nothing is recorded, or raised, while the store is unavailable."""
