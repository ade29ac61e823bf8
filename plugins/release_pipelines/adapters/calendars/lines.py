"""An iCalendar text as a tree of components with their properties; nothing is interpreted here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.text import one_line

MOST_BYTES = 4_000_000
"""Maximum length of a calendar, in bytes: the history keeps texts of that size whole."""
_GLOBAL = re.compile(r"\s*BEGIN\s*:\s*VCALENDAR", re.IGNORECASE)


_SIGNS = str.maketrans("[]<>`", "()  '")


def plain(text: object, limit: int = 1000) -> str:
    """Words of a calendar in one line, without what a form would take for links, pictures or HTML."""
    return one_line(re.sub(r"<[^<>]{0,200}>", " ", one_line(text, 10 * limit)).translate(_SIGNS), limit)


class NoCalendar(ReleaseError):
    """A text that is no iCalendar at all, or not all of one; the sentence has no full stop."""


class Mistake(ValueError):
    """What is wrong with a component, in a sentence without its full stop."""


@dataclass(frozen=True)
class Property:
    """One line: ``DTSTART;TZID=Europe/Berlin:20261224T220000``."""

    name: str
    parameters: dict[str, Any]
    value: str

    def parameter(self, name: str) -> str:
        """A parameter; empty where it has none. Of several values the first."""
        found = self.parameters.get(name, "")
        return str(found[0] if isinstance(found, (list, tuple)) and found else found or "").strip()

    @property
    def text(self) -> str:
        """The value as text, without what escapes its characters."""
        from icalendar.parser import unescape_backslash

        return str(unescape_backslash(self.value))


@dataclass
class Component:
    """What stands between ``BEGIN`` and ``END``; ``unread`` are lines in it that are none."""

    name: str
    properties: list[Property] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def all(self, name: str) -> list[Property]:
        """The properties of a name, in their order."""
        return [it for it in self.properties if it.name == name]

    def one(self, name: str) -> Property | None:
        """The property of a name; None where there is none.

        :raises Mistake: where there are several.
        """
        found = self.all(name)
        if len(found) > 1:
            raise Mistake(f"one {name} is expected, found {len(found)}")
        return found[0] if found else None

    def word(self, name: str) -> str:
        """The first value of a name in capitals; empty where there is none."""
        return next((it.value.strip().upper() for it in self.all(name)), "")

    def parts(self, name: str) -> list[Component]:
        """The components inside that have a name."""
        return [it for it in self.components if it.name == name]


def calendars_in(content: str | bytes) -> list[Component]:
    """The calendars in a text: one, or several behind each other.

    :raises NoCalendar: when it is something else, or when its end is missing.
    """
    text = content.decode("utf-8-sig", errors="replace") if isinstance(content, bytes) else content.lstrip("\ufeff")
    if not _GLOBAL.match(text):
        page = "a web page, " if text.lstrip().startswith("<") else ""
        begin = page + _quoted(plain(text[:1000], 60))
        raise NoCalendar(f"a calendar that begins with BEGIN:VCALENDAR is expected, found {begin}")
    root = Component("")
    stack = [root]
    for line in _lines(text):
        name, _, value = line.partition(":")
        word = name.strip().upper()
        if word == "BEGIN":
            inner = Component(value.strip().upper())
            stack[-1].components.append(inner)
            stack.append(inner)
        elif word == "END":
            if len(stack) == 1 or stack[-1].name != value.strip().upper():
                raise NoCalendar(f"END:{stack[-1].name} is expected, found END:{plain(value, 40)}")
            stack.pop()
        elif len(stack) > 1:
            _add(stack[-1], line)
    if len(stack) > 1:
        raise NoCalendar(f"END:{stack[1].name} is expected at the end: a part of the calendar is missing")
    return root.parts("VCALENDAR")


def _lines(text: str) -> Iterator[str]:
    from icalendar.parser import Contentlines

    return (str(it) for it in Contentlines.from_ical(re.sub(r"\r\n?", "\n", text)) if it.strip())


def _add(component: Component, line: str) -> None:
    from icalendar.parser import Contentline

    try:
        name, parameters, value = Contentline(line).raw_parts()
    except ValueError:
        component.unread.append(line)
        return
    known = {str(key).upper(): it for key, it in parameters.items()}
    component.properties.append(Property(str(name).upper(), known, str(value)))


def _quoted(text: str) -> str:
    return f"`{text}`" if text else "nothing"
