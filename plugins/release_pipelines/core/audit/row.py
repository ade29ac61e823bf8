"""A row of the audit trail, and its hash.

What may name a person stands beside the row, not in it: the row has a salted hash of it. So a person can be forgotten (the text and its
salt are deleted) while the chain stays whole.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

FIRST = "0" * 64
"""What stands in the place of the row before, in the first row."""

PERSONAL = ("actor", "reason", "address", "about")
"""Texts that may name a person: who acted, why, from where, and on whom or what in words."""

WORDS = ("action", "phase", "release", "app", "environment", "previous", "hash")
"""What is text in every row."""

Phase = Literal["asked", "done", "refused", "late"]


@dataclass(frozen=True)
class Text:
    """A text that can be forgotten. ``value`` and ``salt`` None: it has been."""

    seal: str
    value: str | None = None
    salt: str | None = None

    @classmethod
    def of(cls, value: str) -> Text:
        """Seal a text with a salt of its own."""
        salt = secrets.token_hex(16)
        return cls(_sealed(salt, value), value, salt)

    @classmethod
    def found(cls, seal: Any, value: Any = None, salt: Any = None) -> Text:
        """A text as it is kept somewhere, whatever stands there."""
        kept = [it if it is None else _readable(it) for it in (value, salt)]
        return cls(_readable(seal), *kept)

    @property
    def true(self) -> bool:
        """Whether it is what was sealed, as far as it is still there."""
        if self.value is None or self.salt is None:
            return self.value is None and self.salt is None
        return _sealed(self.salt, self.value) == self.seal

    def forgotten(self) -> Text:
        """The seal alone."""
        return Text(self.seal)


@dataclass(frozen=True)
class Row:
    """One row.

    :param number: grows with each row; one may be missing.
    :param at: Unix time in microseconds: a whole number, because every database gives that back as it was.
    :param action: what was done, in the word that buttons, commands and API have for it.
    :param phase: asked for, done, refused; or told late, because the history could not be written when it was done.
    :param previous: hash of the row before.
    :param texts: by the names of :data:`PERSONAL`.
    :param data: what else is to be known, like a step, a digest, or what a retention removed.
    :param damaged: what was found in its place is nothing that is ever written, so it was changed.
    """

    number: int
    at: int
    action: str
    phase: Phase
    release: str = ""
    app: str = ""
    environment: str = ""
    previous: str = FIRST
    hash: str = ""
    texts: Mapping[str, Text] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    damaged: bool = False

    @classmethod
    def found(cls, texts: Mapping[str, Any] | None, data: Any, **values: Any) -> Row:
        """A row as it is kept somewhere, whatever stands there: what no row ever has makes it a damaged one.

        :param texts: by name; None: they cannot be read.
        """
        damaged = bool(values.pop("damaged", False))
        for name in ("number", "at"):
            if type(values[name]) is not int:
                damaged, values[name] = True, 0
        for name in WORDS:
            if not isinstance(values[name], str):
                damaged, values[name] = True, _readable(values[name])
        if texts is None or not all(isinstance(it, Text) for it in texts.values()):
            damaged, texts = True, {}
        if not (isinstance(data, dict) and all(isinstance(it, str) for it in data.values())):
            damaged, data = True, {}
        return cls(**values, texts=texts, data=data, damaged=damaged)

    def digest(self) -> str:
        """What its hash has to be."""
        content = {
            "number": self.number,
            "at": self.at,
            "action": self.action,
            "phase": self.phase,
            "release": self.release,
            "app": self.app,
            "environment": self.environment,
            "previous": self.previous,
            "texts": {name: text.seal for name, text in self.texts.items()},
            "data": dict(self.data),
        }
        canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def after(self, previous: str) -> Row:
        """This row, chained to the one before."""
        chained = replace(self, previous=previous)
        return replace(chained, hash=chained.digest())

    @property
    def true(self) -> bool:
        """Whether it is as it was written."""
        return not self.damaged and self.hash == self.digest() and all(text.true for text in self.texts.values())


def _readable(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _sealed(salt: str, value: str) -> str:
    return hashlib.sha256(f"{salt}\0{value}".encode(errors="surrogatepass")).hexdigest()
