"""Text from outside: logs, events, answers and errors of others come in here, as text that is safe to keep and to show.

Whatever bytes they are, what comes out is text that PostgreSQL, JSON and a terminal take, and no longer than asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, AnyStr, Literal

Keep = Literal["start", "middle", "end"]

LIMIT = 4000
"""Maximum length of one text, in characters, where nothing else is said."""

MARK = "[…]"
"""Mark in place of omitted text."""

ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, movements
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles, links, and other strings for the terminal
    r"|\x1b[ -/]*[0-~]?"  # everything else
)
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters but for tab and new line; also those of eight bits."""
SURROGATES = re.compile(r"[\ud800-\udfff]")
"""Halves of characters, which no encoding takes."""

SLACK = 4096
"""Characters read beyond the limit, for escapes that go away."""


def clean(raw: object, limit: int = LIMIT, keep: Keep = "start") -> str:
    """Text from outside as safe text.

    Bytes that are no UTF-8 become ``�``. NUL, control characters and terminal escapes go; tabs and line ends stay.

    :param raw: bytes, text, or something that has a text, like an error.
    :param limit: maximum length of the result, in characters; at least 10.
    :param keep: what stays of a longer text: its start, its end, or both.
    """
    text, left_out = _excerpt(raw, limit + SLACK, keep)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = SURROGATES.sub("\ufffd", CONTROLS.sub("", ESCAPES.sub("", text)))
    return _marked(text, limit, keep) if left_out or len(text) > limit else text


def one_line(raw: object, limit: int = 1000) -> str:
    """The same in one line, for a sentence: white space of every kind is one space, and no full stop ends it."""
    return " ".join(clean(raw, limit).split()).rstrip(" .")


def one_of(known: Sequence[str], name: str) -> str:
    """What is expected instead of an unknown name, in words, with what may have been meant."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f"one of {', '.join(known)}" + (f"; did you mean `{close[0]}`?" if close else "")


def last_lines(raw: object, count: int, limit: int = LIMIT) -> list[str]:
    """The last lines of a log that are not blank, without white space at their ends.

    :param count: maximum number of lines.
    :param limit: maximum length of all of them together, in characters.
    """
    lines = [line.rstrip() for line in clean(raw, limit, "end").split("\n") if line.strip()]
    return lines[-count:]


def storable(value: Any) -> Any:
    """A JSON value as databases take it, of whatever length: NUL goes, and halves of characters become ``�``."""
    if isinstance(value, str):
        return SURROGATES.sub("\ufffd", value.replace("\0", ""))
    if isinstance(value, dict):
        return {storable(key): storable(it) for key, it in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(it) for it in value]
    return value


def _excerpt(raw: object, size: int, keep: Keep) -> tuple[str, bool]:
    """As much of ``raw`` as is needed, and whether there is more: nobody works through megabytes for the last lines."""
    if isinstance(raw, bytes):
        part = _part(raw, 4 * size, keep)
        return part.decode("utf-8", errors="replace"), len(part) < len(raw)
    text = raw if isinstance(raw, str) else str(raw)
    excerpt = _part(text, size, keep)
    return excerpt, len(excerpt) < len(text)


def _part(raw: AnyStr, size: int, keep: Keep) -> AnyStr:
    if len(raw) <= 2 * size:
        return raw
    if keep == "middle":
        return raw[:size] + raw[-size:]
    return raw[:size] if keep == "start" else raw[-size:]


def _marked(text: str, limit: int, keep: Keep) -> str:
    """The text cut to its limit, with the mark where something is missing."""
    room = limit - len(MARK) - 1
    if keep == "start":
        return f"{text[:room]} {MARK}".strip()
    if keep == "end":
        return f"{MARK} {text[-room:]}".strip()
    half = (room - 1) // 2
    return f"{text[:half]} {MARK} {text[-half:]}"
