"""What a command printed → what its stage came to. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.own_stage import OwnStageResult
from release_pipelines.core.model.units import lasting
from release_pipelines.core.text import last_lines, one_line

TOLD_LENGTH = 200
"""Maximum length of what is told of the values, or of the last line, in characters."""


def container_result(output: str, code: int | None, passing: Sequence[int], seconds: float) -> dict[str, Any]:
    """The result of a command, as JSON.

    :param output: the end of what it printed; a JSON object in its last line is what it hands on.
    :param code: its exit code; None: it did not end in time.
    :param passing: exit codes that are no failure.
    :param seconds: the time that it had.
    """
    if code is None:
        result = OwnStageResult(
            succeeded=False, ended=False, sentence=f"failed: it took longer than {lasting(seconds)}"
        )
        return to_json(result)
    values, said = handed_on(output)
    passed = code in passing
    how = f"exit code {code}" if code or not passed else ""
    words = [part for part in (how, told(values) if values is not None else one_line(said, TOLD_LENGTH)) if part]
    sentence = "passed" if passed else "failed"
    return to_json(
        OwnStageResult(
            succeeded=passed,
            sentence=f"{sentence}: {', '.join(words)}" if words else sentence,
            values=values,
            exit_code=code,
        )
    )


def handed_on(output: str) -> tuple[dict[str, Any] | None, str]:
    """The JSON object in the last line of an output, None where there is none, and that line."""
    line = next(iter(reversed(last_lines(output, 1, 32 * 1024))), "")
    if line.startswith("{"):
        try:
            values = json.loads(line)
        except ValueError:
            values = None
        if isinstance(values, dict):
            return values, line
    return None, line


def told(values: Any) -> str:
    """Values in a few words: ``p95 120, errors 0``."""
    if isinstance(values, dict):
        simple = {key: it for key, it in values.items() if isinstance(it, str | int | float | bool)}
        return one_line(", ".join(f"{key} {it}" for key, it in simple.items()), TOLD_LENGTH)
    return one_line(json.dumps(values), TOLD_LENGTH)
