"""Types of columns for what people, logs and clients wrote."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Column, String, Text, TypeDecorator
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.default import DefaultDialect

from release_pipelines.core.text import clean, storable

TEXT_LIMIT = 5_000_000
"""Maximum length of a text in the history, in characters."""


def safe(text: str) -> str:
    """A text as it is kept: PostgreSQL takes no NUL, and nobody wants terminal escapes in a report."""
    return clean(text, TEXT_LIMIT, "middle")


_ANY = DefaultDialect()


class SafeText(TypeDecorator[str]):
    """Text that people, logs and clients wrote."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """What goes into the database."""
        return None if value is None else safe(value)


class ShortText(TypeDecorator[str]):
    """Names that people, logs and clients wrote, cut to their column."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """What goes into the database."""
        return None if value is None else clean(value, self.impl_instance.length or TEXT_LIMIT)  # type: ignore[attr-defined]


class SafeJson(TypeDecorator[Any]):
    """JSON with text that others wrote."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """What goes into the database."""
        return storable(value)


class FoundJson(TypeDecorator[Any]):
    """JSON that may have been damaged since (SQLite takes any text for it): what cannot be read is None."""

    impl = JSON
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: Any) -> Any:
        """What comes out of the database."""
        read = super().result_processor(dialect, coltype)

        def found(value: Any) -> Any:
            try:
                return read(value) if read else value
            except (ValueError, TypeError, RecursionError):
                return None

        return found


def as_kept(column: Column[Any], value: Any) -> Any:
    """A value as it will be read again from the column."""
    if isinstance(column.type, (SafeText, ShortText, SafeJson)) and value is not None:
        return column.type.process_bind_param(value, _ANY)
    return value
