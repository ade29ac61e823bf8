"""Calendars of windows and freezes: when something may be released. Pure: no files, no clock."""

from release_pipelines.core.calendars.course import without_freezes as without_freezes
from release_pipelines.core.calendars.model import Asked as Asked
from release_pipelines.core.calendars.model import Calendar as Calendar
from release_pipelines.core.calendars.model import Entry as Entry
from release_pipelines.core.calendars.model import Opening as Opening
from release_pipelines.core.calendars.model import Span as Span
from release_pipelines.core.calendars.model import Standing as Standing
from release_pipelines.core.calendars.remarks import remarks as remarks
from release_pipelines.core.calendars.remarks import too_short as too_short
from release_pipelines.core.calendars.standing import openings as openings
from release_pipelines.core.calendars.standing import standing as standing
