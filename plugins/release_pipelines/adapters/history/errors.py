"""Errors of the history, and the one place where errors of databases become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, InternalError, OperationalError

from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.text import clean, one_line

NO_RIGHT = "42501"
"""PostgreSQL's code where the account may not do what it is asked for, as in a database that only serves readers."""


class HistoryUnavailable(ReleaseError, ConnectionError):
    """The history's database cannot be reached, or takes nothing now. Worth another try."""


class UnknownRelease(ReleaseError, ValueError):
    """The history knows no such release."""


class VersionTaken(ReleaseError, ValueError):
    """The version has been deployed under another digest: it needs a number of its own (R1)."""


@contextmanager
def reachable(engine: Engine) -> Iterator[None]:
    """Turn errors of a database that is away, busy for too long, full, or that only reads, into :class:`HistoryUnavailable`."""
    try:
        yield
    except DBAPIError as error:
        if not _is_away(error):
            raise
        where = engine.url.render_as_string(hide_password=True)
        explanation = one_line(clean(error.orig).strip().partition("\n")[0])
        raise HistoryUnavailable(f"The release history at {where} does not answer: {explanation}.") from error


def _is_away(error: DBAPIError) -> bool:
    """Whether the error is the database's and not the statement's: a standby and a full disk say so in ways of their own."""
    if isinstance(error, (OperationalError, InterfaceError, InternalError)) or type(error) in (
        DatabaseError,
        DBAPIError,
    ):
        return True
    code = getattr(error.orig, "pgcode", None) or getattr(error.orig, "sqlstate", None)
    return code == NO_RIGHT
