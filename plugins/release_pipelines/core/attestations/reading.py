"""JSON of others, taken strictly: what two readers could read as two things is refused."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, NoReturn

from release_pipelines.core.errors import ReleaseError


class Unreadable(ReleaseError):
    """A document is not what it says that it is; the message is half a sentence: what is wrong with it."""


def json_object(content: bytes | str, what: str) -> dict[str, Any]:
    """A JSON object, each of whose keys stands there once.

    :param what: what it is, for the sentence.
    :raises Unreadable: where it is none.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        document = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Unreadable(f"its {what} is no JSON that can be read") from None
    if not isinstance(document, dict):
        raise Unreadable(f"its {what} is no JSON object")
    return document


def in_base64(value: Any, what: str) -> bytes:
    """The bytes of a text in base64 that has no other spelling.

    :raises Unreadable: where it is none.
    """
    if isinstance(value, str) and value.isascii():
        for encode, decode in (
            (base64.b64encode, lambda it: base64.b64decode(it, validate=True)),
            (base64.urlsafe_b64encode, base64.urlsafe_b64decode),  # both are DSSE
        ):
            try:
                content = decode(value)
            except (binascii.Error, ValueError):
                continue
            if encode(content).decode() == value:
                return content
    raise Unreadable(f"its {what} is no base64")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _no_number(word: str) -> NoReturn:
    raise ValueError(word)
