"""The files ``include/calendars/<name>.yaml``: windows and freezes → the core's values."""

import datetime as dt
import re
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from release_pipelines.core.calendars.model import Calendar, Entry, Length, Recurrence
from release_pipelines.core.calendars.rules import WORDS, days_rule, rrule
from release_pipelines.core.calendars.zones import zone
from release_pipelines.core.model.base import Value
from release_pipelines.core.model.units import DnsName, Duration
from release_pipelines.core.text import one_of
from release_pipelines.spec.loader import SpecError, read_yaml, validated

DAY = 86400
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_EXPECTED_MOMENT = 'a time in quotes like "22:00", or a day like 2026-12-24, or both, is expected'


def _moment(value: Any) -> Any:
    """A wall time as it is written: text that YAML has made something else of is refused, or read as meant."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float, dt.date)):
        raise ValueError(_EXPECTED_MOMENT)
    if isinstance(value, (int, float)):
        hours, minutes = divmod(int(value), 60)
        as_read = f" (YAML reads {hours}:{minutes:02} without quotes so)" if 0 < value <= 1440 else ""
        raise ValueError(f"{_EXPECTED_MOMENT}, found the number {value:g}{as_read}")
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None:
            raise ValueError("a time without an offset is expected: `time_zone` says where it holds")
        return value.isoformat(sep=" ")
    if isinstance(value, dt.date):
        return value.isoformat()
    _parse(value)
    return value.strip()


def _parse(text: str) -> tuple[dt.date | None, int | None]:
    """The day and the seconds since midnight of a moment; each may be missing."""
    words = text.strip().replace("T", " ").split()
    day = seconds = None
    try:
        if words and "-" in words[0]:
            day = dt.date.fromisoformat(words.pop(0))
    except ValueError:
        raise ValueError(_EXPECTED_MOMENT) from None
    if words:
        match = _CLOCK.fullmatch(words.pop(0))
        seconds = int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3] or 0) if match else DAY + 1
        if match and (int(match[2]) > 59 or int(match[3] or 0) > 59):
            seconds = DAY + 1
    if words or (seconds or 0) > DAY or (day is None and seconds is None):
        raise ValueError(_EXPECTED_MOMENT)
    return day, seconds


def _is_here(address: str) -> bool:
    """Whether an address is on this machine: nothing lies between."""
    try:
        host = urlsplit(address).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _listed(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("words in quotes are expected: without them YAML reads on, off, yes and no as true or false")
    return [value] if isinstance(value, str) else value


Moment = Annotated[str, BeforeValidator(_moment)]
Names = Annotated[
    tuple[str, ...],
    BeforeValidator(_listed),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


class EntrySpec(Value):
    """A window, in which releases may begin, or a freeze, in which none may."""

    window: str | None = Field(None, min_length=1, description="The window's name")
    freeze: str | None = Field(None, min_length=1, description="The freeze's name")
    reason: str | None = Field(None, description="Why, for those who are told")
    days: Names | None = Field(None, description=WORDS)
    rrule: str | None = Field(None, description="A rule of RFC 5545, like FREQ=MONTHLY;BYDAY=-1FR; needs `starting`")
    starting: dt.date | None = Field(None, description="The first day that can be one of the `rrule`")
    begins: Moment | None = Field(None, alias="from", description='A time like "22:00", or a day and a time')
    ends: Moment | None = Field(
        None, alias="to", description="Up to then, not including it; a day without a time is included"
    )
    lasts: Duration | None = Field(None, alias="for", description="Instead of `to`: exactly so long, like 8h")
    without: tuple[dt.date, ...] = Field((), alias="except", description="Days on which it does not begin")
    time_zone: str | None = Field(None, description="Where the times hold; default: the calendar's")
    apps: Names | None = Field(None, description="Only for these apps")
    environments: Names | None = Field(None, description="And only in these environments")
    tags: Names | None = Field(None, description="And only for apps with one of these tags")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        if name is not None:
            zone(name)
        return name

    @field_validator("days")
    @classmethod
    def _known_days(cls, days: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for it in days or ():
            days_rule(it)
        return days

    @model_validator(mode="after")
    def _fits(self) -> "EntrySpec":
        if (self.window is None) == (self.freeze is None):
            raise ValueError("one of `window` and `freeze`, with a name, is expected")
        if self.days and self.rrule:
            raise ValueError("`days` or `rrule`, not both is expected")
        if (self.rrule is None) != (self.starting is None):
            raise ValueError("`rrule` together with `starting` is expected")
        if self.lasts is not None and self.ends is not None:
            raise ValueError("`to` or `for`, not both is expected")
        if self.lasts == 0:
            raise ValueError("a `for` above 0 is expected")
        self.entry("UTC")  # the rest is said by what makes the entry
        return self

    def entry(self, default_zone: str) -> Entry:
        """The core's value."""
        kind: Literal["window", "freeze"] = "window" if self.window is not None else "freeze"
        facts: dict[str, Any] = {
            "kind": kind,
            "name": self.window or self.freeze,
            "zone": self.time_zone or default_zone,
            "reason": self.reason,
            "apps": self.apps,
            "environments": self.environments,
            "tags": self.tags,
            "left_out_days": self.without,
        }
        timed = self._recurring(facts["zone"]) if self.days or self.rrule else self._once()
        return Entry(**facts, **timed)

    def _recurring(self, zone_name: str) -> dict[str, Any]:
        (first, begin), (last, end) = _parse(self.begins or "00:00"), _parse(self.ends or "24:00")
        if first or last:
            raise ValueError("`from` and `to` without days are expected beside `days` or `rrule`")
        if self.begins is not None and self.ends is None and self.lasts is None:
            raise ValueError("`to` or `for` is expected beside `from`")
        begin, end = begin or 0, end or 0
        if begin == DAY:
            raise ValueError('a `from` before "24:00" is expected, found `24:00`')
        if self.lasts is not None:
            length = Length(exact=self.lasts)
        elif begin == end:
            raise ValueError(
                'a `to` that is not `from` (the whole day is "00:00" to "24:00") is expected, found '
                + f"`{self.begins}` to `{self.ends}`"
            )
        else:
            length = Length(wall=(end - begin) % DAY or DAY)
        offset = dt.timedelta(seconds=begin)
        found: list[Recurrence] = []
        for text in self.days or ():
            rule = days_rule(text)
            found.append(rule.model_copy(update={"since": rule.since + offset}))
        if self.rrule is not None and self.starting is not None:
            since = dt.datetime.combine(self.starting, dt.time()) + offset
            found.append(rrule(self.rrule, since, zone_name))
        return {"recurrences": tuple(found), "length": length}

    def _once(self) -> dict[str, Any]:
        begin_day, begin = _parse(self.begins or "00:00")
        end_day, end = _parse(self.ends or "00:00")
        if self.begins is None or begin_day is None or (self.lasts is None and (self.ends is None or end_day is None)):
            raise ValueError("`days`, or `rrule`, or a `from` and a `to` with their days are expected")
        start = dt.datetime.combine(begin_day, dt.time()) + dt.timedelta(seconds=begin or 0)
        if self.lasts is not None:
            return {"starts": (start,), "length": Length(exact=self.lasts)}
        assert end_day is not None  # noqa: S101 - said above
        stop = dt.datetime.combine(end_day, dt.time()) + dt.timedelta(seconds=DAY if end is None else end)
        if stop <= start:
            raise ValueError(f"a `to` after `from` is expected, found `{self.begins}` to `{self.ends}`")
        return {"spans": ((start, stop),)}


class ChangeCalendar(Value):
    """A calendar of AWS Systems Manager. Whether its events are freezes or windows it says itself."""

    document: str = Field(min_length=1, description="The document's name or ARN")
    connection: str = Field("aws_default", min_length=1, description="An Airflow connection of type aws")


class CalendarSpec(Value):
    """One calendar: the file ``include/calendars/<name>.yaml``, with its entries or with where they are kept."""

    schema_version: Literal[1] = 1
    name: DnsName
    time_zone: str | None = Field(
        None,
        description="Where times hold that say nothing themselves; default: UTC, for a calendar from elsewhere what that says",
    )
    entries: tuple[EntrySpec, ...] = ()
    ics: str | None = Field(
        None,
        min_length=1,
        description="Instead of entries: an iCalendar file in this folder, or an address with https://",
    )
    connection: str | None = Field(
        None, min_length=1, description="Instead: an Airflow connection with an iCalendar's address and its credentials"
    )
    aws: ChangeCalendar | None = Field(None, description="Instead: an AWS Change Calendar")
    events: Literal["freezes", "windows"] | None = Field(
        None, description="What the events of an `ics` or a `connection` are; default: freezes"
    )
    apps: Names | None = Field(None, description="Its events concern only these apps")
    environments: Names | None = Field(None, description="And only these environments")
    tags: Names | None = Field(None, description="And only apps with one of these tags")
    max_age: Duration = Field(
        86400.0, gt=0, description="So old the last good copy of a calendar that is fetched may be; then it is closed"
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        if name is not None:
            zone(name)
        return name

    @field_validator("ics")
    @classmethod
    def _file_or_address(cls, text: str | None) -> str | None:
        if text is None:
            return None
        scheme, separator, rest = text.partition("://")
        if not separator:
            if Path(text).is_absolute() or ".." in Path(text).parts:
                raise ValueError("a file in the calendars' folder is expected")
        elif scheme not in ("http", "https") or not rest.partition("/")[0]:
            raise ValueError("a file, or an address that begins with https://, is expected")
        elif "@" in rest.partition("/")[0]:
            raise ValueError(
                "an address without a password is expected (`connection` names an Airflow connection that has one), found one with it"
            )
        elif scheme == "http" and not _is_here(text):
            raise ValueError(
                "an address that begins with https:// is expected: on the way of another one anybody could take a freeze out, found one with http://"
            )
        return text

    @model_validator(mode="after")
    def _fits(self) -> "CalendarSpec":
        given = self.model_fields_set
        sources = [it for it in ("entries", "ics", "connection", "aws") if getattr(self, it)]
        if len(sources) > 1:
            raise ValueError(
                f"one of `entries`, `ics`, `connection` and `aws` is expected, found {' and '.join(sources)}"
            )
        if not self.elsewhere and (odd := sorted(given & {"events", "apps", "environments", "tags", "max_age"})):
            raise ValueError(f"`{odd[0]}` beside `ics`, `connection` or `aws` is expected; an entry has its own keys")
        if self.file and "max_age" in given:
            raise ValueError("`max_age` beside an address is expected: a file is read itself")
        if self.aws and self.events:
            raise ValueError("no `events` beside `aws` is expected: the calendar says itself what they are")
        return self

    @property
    def elsewhere(self) -> bool:
        """Whether its entries are in another file, or kept elsewhere."""
        return bool(self.ics or self.connection or self.aws)

    @property
    def file(self) -> str | None:
        """The iCalendar file in the folder of this one; None: there is none."""
        return self.ics if self.ics and "://" not in self.ics else None

    @property
    def source(self) -> str | None:
        """Where its entries are fetched from, in words; None: they are here."""
        if self.aws:
            return f"the AWS Change Calendar {self.aws.document} (Airflow connection `{self.aws.connection}`)"
        if self.connection:
            return f"the address in the Airflow connection `{self.connection}`"
        return self.ics if self.ics and not self.file else None

    def calendar(self) -> Calendar:
        """The core's value, of what stands in the file."""
        zone_name = self.time_zone or "UTC"
        entries = tuple(it.entry(zone_name) for it in self.entries)
        return Calendar(name=self.name, zone=zone_name, entries=entries)


def load_spec(path: Path) -> CalendarSpec:
    """What stands in one calendar's file.

    :raises SpecError: for the first mistake, with the others in ``also``.
    """
    spec = validated(CalendarSpec, {"name": path.stem, **read_yaml(path)}, path.name)
    if spec.name != path.stem:
        raise SpecError(path.name, "name", f"`{spec.name}`", f"`{path.stem}`, as the file is called")
    return spec


def calendar_files(folder: Path) -> list[Path]:
    """The calendars' files in a folder, by name."""
    return sorted(path for path in folder.glob("*.yaml") if path.is_file())


def missing_calendars(file: str, names: Sequence[str], folder: Path) -> list[SpecError]:
    """The calendars that a file names under ``calendars`` and that have no file: they count as closed for good."""
    known = [it.stem for it in calendar_files(folder)]
    return [
        SpecError(
            file,
            f"calendars[{n}]",
            f"`{name}`, which has no file",
            one_of(known, name) if known else f"a file {name}.yaml in {folder.name}/",
        )
        for n, name in enumerate(names)
        if name not in known
    ]


def load_calendar(path: Path) -> Calendar:
    """One calendar by its files alone; one that is fetched is closed.

    :raises SpecError: for the first mistake, with the others in ``also``.
    """
    from release_pipelines.spec.copies import calendar_of_copy, calendar_of_file

    spec = load_spec(path)
    if spec.source is not None:
        return calendar_of_copy(spec, None, 0)
    return calendar_of_file(spec, path.parent) if spec.file else spec.calendar()


def calendar_errors(files: Sequence[Path]) -> list[SpecError]:
    """Everything that is wrong in calendars."""
    errors: list[SpecError] = []
    for path in files:
        try:
            load_calendar(path)
        except SpecError as error:
            errors += [error, *error.also]
    return errors
