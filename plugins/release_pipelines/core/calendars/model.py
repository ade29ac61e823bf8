"""Calendars as values: who may release when. The wall time with its zone is the truth; instants are derived from it."""

import datetime as dt
from typing import Any, Literal, NamedTuple

from pydantic import PrivateAttr, field_validator

from release_pipelines.core.calendars.zones import zone
from release_pipelines.core.model.base import Stored, Value


class Asked(NamedTuple):
    """What a calendar is asked about."""

    app: str
    environment: str
    tags: frozenset[str] = frozenset()


class Span(NamedTuple):
    """From ``start`` up to, not including, ``end``; Unix times in seconds."""

    start: float
    end: float


class Opening(NamedTuple):
    """A time in which everything that is asked may be released; what has no known border has an infinite one."""

    start: float
    end: float
    entry: str | None


class Length(Value):
    """How long an occurrence is: so many seconds on the wall clock, then so many exact ones."""

    wall: float = 0
    exact: float = 0


class Recurrence(Value):
    """Days that come again: those of an RFC 5545 rule, then a weekday after each.

    ``rule`` has neither COUNT nor UNTIL of another zone: ``until`` is the last start, as a Unix time.
    """

    rule: str
    since: dt.datetime
    until: float | None = None
    count: int | None = None
    after: tuple[int, ...] = ()


class Entry(Value):
    """A window or a freeze. Its times are wall times in its zone.

    ``after`` in a recurrence names weekdays, Monday is 0. ``starts`` are further occurrences of the same length, ``spans`` such
    with an end of their own. ``left_out`` and ``left_out_days`` are occurrences that do not happen.
    """

    kind: Literal["window", "freeze"]
    name: str
    zone: str
    reason: str | None = None
    apps: tuple[str, ...] | None = None
    environments: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    recurrences: tuple[Recurrence, ...] = ()
    starts: tuple[dt.datetime, ...] = ()
    length: Length = Length()
    spans: tuple[tuple[dt.datetime, dt.datetime], ...] = ()
    left_out: tuple[dt.datetime, ...] = ()
    left_out_days: tuple[dt.date, ...] = ()

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        zone(name)
        return name

    def concerns(self, asked: Asked) -> bool:
        """Whether it is about what is asked: apps, environments and tags, where it names them, must all fit."""
        return (
            (self.apps is None or asked.app in self.apps)
            and (self.environments is None or asked.environment in self.environments)
            and (self.tags is None or not asked.tags.isdisjoint(self.tags))
        )

    def __str__(self) -> str:
        because = f" ({self.reason})" if self.reason else ""
        return f'freeze "{self.name}"{because}' if self.kind == "freeze" else f'"{self.name}"{because}'


class Calendar(Value):
    """Windows and freezes under one name; ``broken`` says why it cannot be read, and then it is closed.

    ``source`` says where its entries come from, where not from its own file; ``trouble`` what is wrong with that although they still
    count. ``notes`` are remarks of whoever read them.
    """

    name: str
    zone: str = "UTC"
    entries: tuple[Entry, ...] = ()
    broken: str | None = None
    notes: tuple[str, ...] = ()
    source: str | None = None
    trouble: str | None = None

    _courses: dict[Any, Any] = PrivateAttr(default_factory=dict)


class Standing(Stored):
    """Whether something may be released at an instant, and why.

    ``closes_at``, ``opens_at`` and ``began_at`` are Unix times in seconds; None where no such instant is known.
    """

    open: bool
    sentence: str
    closes_at: float | None = None
    opens_at: float | None = None
    began_at: float | None = None
    calendar: str | None = None
    entry: str | None = None
