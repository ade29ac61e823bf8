"""Errors of the history, and the one place where errors of databases become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.text import clean, one_line


class HistoryUnavailable(ReleaseError, ConnectionError):
    """The history's database cannot be reached. Worth another try."""


class UnknownRelease(ReleaseError, ValueError):
    """The history knows no such release."""


class VersionTaken(ReleaseError, ValueError):
    """The version has been deployed under another digest: it needs a number of its own (R1)."""


@contextmanager
def reachable(engine: Engine) -> Iterator[None]:
    """Turn errors of a database that is away, or busy for too long, into :class:`HistoryUnavailable`."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        where = engine.url.render_as_string(hide_password=True)
        explanation = one_line(clean(error.orig).strip().partition("\n")[0])
        raise HistoryUnavailable(f"The release history at {where} does not answer: {explanation}.") from error
