"""How people write durations, shares and names, and what may be in a sentence."""

from __future__ import annotations

import math
import posixpath
import re
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from release_pipelines.core.text import clean

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def parse_duration(value: Any) -> float:
    """Turn ``500ms``, ``30s``, ``5m``, ``1h30m`` or ``2d`` into seconds; a bare number is taken as seconds."""
    if isinstance(value, bool):
        raise ValueError("a duration like 30s, 5m or 1h30m is expected")
    if isinstance(value, (int, float)):
        seconds = float(value)
    else:
        match = _DURATION.fullmatch(str(value).strip())
        if not match or not any(match.groups()):
            raise ValueError("a duration like 30s, 5m or 1h30m is expected")
        days, hours, minutes, secs, millis = (float(part or 0) for part in match.groups())
        seconds = days * 86400 + hours * 3600 + minutes * 60 + secs + millis / 1000
    if not 0 <= seconds < math.inf:
        raise ValueError("a duration of zero or more is expected")
    return seconds


def as_written(seconds: float) -> str:
    """A time as it is written in the files, like ``35d`` or ``1h30m``: what :func:`parse_duration` reads."""
    millis, parts = round(1000 * seconds), []
    for unit, length in {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}.items():
        number, millis = divmod(millis, length)
        parts += [f"{number}{unit}"] if number else []
    return "".join(parts) or "0s"


def lasting(seconds: float) -> str:
    """A time in words that people read: ``500 ms``, ``45 s``, ``4 min 10 s``, ``2 h 5 min``."""
    if 0 < seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{rest} s"


_MEMORY = re.compile(r"(\d+)\s*(Ki|Mi|Gi)?B?")


def parse_memory(value: Any) -> int:
    """Turn ``512Mi`` or ``2Gi`` into bytes; a bare number is taken as bytes."""
    match = None if isinstance(value, bool) else _MEMORY.fullmatch(str(value).strip())
    if not match or int(match[1]) == 0:
        raise ValueError("an amount of memory like 512Mi or 2Gi is expected")
    return int(match[1]) << {None: 0, "Ki": 10, "Mi": 20, "Gi": 30}[match[2]]


def parse_share(value: Any) -> float:
    """Turn ``1%`` or ``0.01`` into the fraction 0.01."""
    percent = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if percent:
        return float(percent[1]) / 100
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("a share like 1% or 0.01 is expected")
    return float(value)


_NUMBER = re.compile(r"\s*[+-]?\d+(\.\d*)?\s*")


def no_number(value: Any, expected: str) -> Any:
    """What is no number: of one nobody can say whether it is a day without its dashes, or seconds since 1970.

    :param expected: in words.
    :raises ValueError: for a number, also where it is written as text, unless that text is a day.
    """
    if isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.fullmatch(value) and not _is_day(value)):
        raise ValueError(f"{expected} is expected")
    return value


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


SENTENCE_LIMIT = 2000
"""Maximum length of a sentence that is kept with a route, in characters: a cluster takes 256 KiB of annotations in all."""


def _sentence(value: Any) -> Any:
    return clean(value, SENTENCE_LIMIT, "middle") if isinstance(value, str) else value


Sentence = Annotated[str, BeforeValidator(_sentence)]
"""Words for people that may come from outside, of any length and with anything in them."""


def _inside(raw: str) -> str:
    path = posixpath.normpath(raw)
    if posixpath.isabs(raw) or path.split("/")[0] == "..":
        raise ValueError("a path that stays in the folder is expected")
    return raw


Inside = Annotated[str, AfterValidator(_inside)]
"""The path of a file, seen from a folder that it does not leave."""

Duration = Annotated[float, BeforeValidator(parse_duration, json_schema_input_type=str | float)]

Memory = Annotated[int, BeforeValidator(parse_memory, json_schema_input_type=str | int)]
"""An amount of memory, in bytes."""

Limit = Annotated[float, BeforeValidator(parse_share, json_schema_input_type=str | float)]

DnsName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$")]
