"""The last good copy of a calendar that is kept elsewhere, and what became of the last look."""

from release_pipelines.core.model.base import Stored


class CalendarCopy(Stored):
    """A copy. Times are Unix times in seconds.

    ``source`` says where it is from, ``content`` is an iCalendar text, None where none was ever fetched; ``digest`` is its SHA-256. ``checked_at`` is the last time
    that the source said that this is how it stands, ``fetched_at`` the first. ``mistake`` is why looks since ``failed_at`` got nothing, None
    after a good one; ``remark`` what is strange about this state.
    """

    name: str
    source: str
    content: str | None = None
    digest: str | None = None
    validators: str | None = None
    fetched_at: float | None = None
    checked_at: float | None = None
    failed_at: float | None = None
    mistake: str | None = None
    remark: str | None = None
