"""A notifier: a board in the hall, which is a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.connection import Connection
from release_pipelines.core.model.notice import Notice
from release_pipelines.core.ports.notifier import Notifier


class BoardOptions(Value):
    """Where the board is."""

    file: Path = Field(description="The file that is the board")


class Board(Notifier):
    """Writes each notice on a line of its own."""

    def send(self, notice: Notice, keys: Mapping[str, Any], connection: Connection | None) -> None:
        with keys["options"].file.open("a") as board:
            board.write(f"{notice.title}\n")


NOTIFIER = Board(options=BoardOptions)
