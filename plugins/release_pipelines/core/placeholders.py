"""Placeholders in what a team writes: ``{version}``, ``{stages.load.p95}``. They name values and compute nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from release_pipelines.core.errors import ReleaseError

_PLACEHOLDER = re.compile(r"(?<!\$)\{([a-z_]+(?:\.[A-Za-z0-9_-]+)*)\}")
"""``${name}`` is the shell's own, and stays."""
KNOWN = ("app", "version", "digest", "image", "release", "environment", "url", "host", "stages")
"""What a placeholder can begin with; others stay as they are: a command may have braces of its own."""


def named_stages(text: str) -> Iterator[str]:
    """Names of the stages whose values a text asks for."""
    for path in _PLACEHOLDER.findall(text):
        root, *rest = path.split(".")
        if root == "stages" and rest:
            yield rest[0]


def named_of_image(text: str) -> Iterator[str]:
    """Placeholders in a text that name the image that is released: they are filled in once it is known."""
    yield from (path for path in _PLACEHOLDER.findall(text) if path.split(".")[0] in ("digest", "image"))


def filled(value: Any, known: Mapping[str, Any], *, typed: bool = False) -> Any:
    """A JSON value with all placeholders in its texts filled in; keys stay as they are.

    :param typed: whether a text that is one placeholder and nothing else becomes the value itself, whatever its type.
    :param known: values by the names of :data:`KNOWN`.
    :raises ReleaseError: for a placeholder whose value is not there.
    """
    if isinstance(value, str):
        whole = _PLACEHOLDER.fullmatch(value) if typed else None
        if whole and whole[1].split(".")[0] in KNOWN:
            return _value(whole[1], known)
        return _PLACEHOLDER.sub(lambda found: _text(found, known), value)
    if isinstance(value, Mapping):
        return {key: filled(it, known, typed=typed) for key, it in value.items()}
    if isinstance(value, list):
        return [filled(it, known, typed=typed) for it in value]
    return value


def as_text(value: Any) -> str:
    """A value as it stands inside of a text: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _text(found: re.Match[str], known: Mapping[str, Any]) -> str:
    path = found[1]
    return as_text(_value(path, known)) if path.split(".")[0] in KNOWN else found[0]


def _value(path: str, known: Mapping[str, Any]) -> Any:
    here: Any = known
    for part in path.split("."):
        if isinstance(here, Mapping) and part in here:
            here = here[part]
        elif isinstance(here, list) and part.isdigit() and int(part) < len(here):
            here = here[int(part)]
        else:
            here = None
        if here is None:
            raise ReleaseError(f"There is no `{{{path}}}` here: what it names has given no such value, or comes later.")
    return here
