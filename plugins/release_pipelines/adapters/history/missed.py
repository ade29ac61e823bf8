"""What the history could not take when it happened, as small files, and written as soon as it can.

One file a write, in a folder that outlives the release. A write may be repeated: every method of the history may be called
twice.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from release_pipelines.adapters.history.errors import HistoryUnavailable
from release_pipelines.adapters.history.store import History
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import Value, to_json
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.verdict import Verdict

log = logging.getLogger(__name__)

Write = Literal[
    "begin", "record_artifact", "record_event", "record_verdict", "promoted", "finish", "mark", "answer", "late_command"
]
"""Methods of the history that can be made up for."""

VALUES: dict[str, type[Value]] = {it.__name__: it for it in (Artifact, Sample, Verdict)}
"""Values among their arguments."""

VALUE = "__value__"


class Missed:
    """The writes that were missed.

    :param folder: where their files are; made when there is one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, write: Write, arguments: Sequence[Any]) -> None:
        """Keep one write, and when it happened.

        :raises OSError: when the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.json"
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps({"write": write, "at": time.time(), "arguments": _packed(list(arguments))}))
        os.replace(unfinished, path)

    def catch_up(self, history: History) -> None:
        """Write all that was missed, oldest first.

        :raises HistoryUnavailable: when the history still cannot take it; what is left stays.
        """
        if not self._files():
            return
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for path in self._files():
                self._write(history, path)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.json"))

    @staticmethod
    def _write(history: History, path: Path) -> None:
        try:
            kept = json.loads(path.read_bytes())
            getattr(history.at(kept["at"]), kept["write"])(*_unpacked(kept["arguments"]))
        except HistoryUnavailable:
            raise
        except Exception:  # it must not stand in the way of the others, nor of a release
            log.warning("What the history missed (%s) cannot be written.", path, exc_info=True)
            os.replace(path, path.with_suffix(".refused"))
        else:
            path.unlink(missing_ok=True)


def _packed(argument: Any) -> Any:
    if isinstance(argument, Value):
        return {VALUE: type(argument).__name__, "is": to_json(argument)}
    return [_packed(it) for it in argument] if isinstance(argument, list) else argument


def _unpacked(argument: Any) -> Any:
    if isinstance(argument, dict) and VALUE in argument:
        return VALUES[argument[VALUE]].model_validate(argument["is"])
    return [_unpacked(it) for it in argument] if isinstance(argument, list) else argument
