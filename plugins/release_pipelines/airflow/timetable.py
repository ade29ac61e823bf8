"""A timetable of windows: a run begins when its window opens."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.timetables.base import DagRunInfo, DataInterval, Timetable

if TYPE_CHECKING:
    from airflow.timetables.base import TimeRestriction
    from pendulum import DateTime

    from release_pipelines.core.calendars import Standing

log = logging.getLogger(__name__)

DAY = 86400.0
MISSED_SINCE = 366 * DAY
"""So far back missed openings are counted, in seconds."""


class MaintenanceWindowTimetable(Timetable):
    """One run for each opening of calendars; its data interval is from the opening to the closing.

    An opening that was missed is not caught up, whatever ``catchup`` says: the log tells how many. One that is still open
    starts its run late. Airflow may create a run that it had planned although it has closed meanwhile, so the first task asks
    again: a :class:`~release_pipelines.sensors.ReleaseWindowSensor` or a branch.

    :param calendars: names of calendars; all of them must be open. Only the names are kept, their contents are read each time.
    :param app: the app that entries may be limited to; empty for none.
    :param environment: the environment, likewise.
    :param tags: the app's tags.
    """

    def __init__(self, *calendars: str, app: str = "", environment: str = "", tags: Sequence[str] = ()) -> None:
        self.calendars, self.app, self.environment, self.tags = list(calendars), app, environment, sorted(tags)
        self.description = f"When {', '.join(calendars)} opens"

    @property
    def summary(self) -> str:
        """For Airflow's list of DAGs."""
        return f"window: {', '.join(self.calendars)}"

    def serialize(self) -> dict[str, Any]:
        """Names, and nothing that changes with time or with the calendars' contents."""
        return {
            "calendars": self.calendars,
            "app": self.app,
            "environment": self.environment,
            "tags": self.tags,
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> MaintenanceWindowTimetable:
        """From :meth:`serialize`."""
        return cls(*data["calendars"], app=data["app"], environment=data["environment"], tags=data["tags"])

    def validate(self) -> None:
        """Refuse a timetable without calendars.

        :raises AirflowTimetableInvalid: with a sentence.
        """
        from airflow.exceptions import AirflowTimetableInvalid

        if not self.calendars:
            raise AirflowTimetableInvalid("MaintenanceWindowTimetable: the name of a calendar is expected.")

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The opening that is open now and has no run yet, else the next one."""
        now = time.time()
        earliest = restriction.earliest.timestamp() if restriction.earliest else now
        last = None
        if last_dagrun_info is not None and (interval := last_dagrun_info.data_interval) is not None:
            last = interval.start.timestamp()
            self._tell_missed(interval.end.timestamp(), now)
        found = self._standing(max(now, earliest))
        if found.open and (found.began_at is None or found.began_at <= (earliest - 1 if last is None else last)):
            if found.began_at is not None and last is None and found.began_at < earliest:
                last = found.began_at  # it began before the DAG did
            if found.closes_at is None:
                return None
            found = self._standing(found.closes_at)
        return self._run(found, last, restriction)

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """The opening in which a manual run begins, else the next one; a second where none is known."""
        at = run_after.timestamp()
        found = self._standing(at)
        opening = self._opening(found) or (at, at + 1)
        return DataInterval(_moment(opening[0]), _moment(opening[1]))

    def _run(self, found: Standing, last: float | None, restriction: TimeRestriction) -> DagRunInfo | None:
        opening = self._opening(found)
        while opening is not None and last is not None and opening[0] <= last:
            opening = self._opening(self._standing(opening[1]))
        if opening is None or (restriction.latest is not None and opening[0] > restriction.latest.timestamp()):
            return None
        start, end = _moment(opening[0]), _moment(opening[1])
        return DagRunInfo(run_after=start, data_interval=DataInterval(start, end))

    def _opening(self, found: Standing) -> tuple[float, float] | None:
        """Start and end of an opening: of the one that is, or of the next; one without an end counts as a day."""
        if not found.open:
            if found.opens_at is None:
                return None
            found = self._standing(found.opens_at)
        if found.began_at is None:
            return None
        return found.began_at, found.began_at + DAY if found.closes_at is None else found.closes_at

    def _standing(self, at: float) -> Standing:
        from release_pipelines.airflow.calendars import standing_now

        return standing_now(self.calendars, self.app, self.environment, self.tags, at)

    def _tell_missed(self, since: float, now: float) -> None:
        from release_pipelines.airflow.calendars import load_calendars
        from release_pipelines.core.calendars import Asked, openings

        asked = Asked(self.app, self.environment, frozenset(self.tags))
        found = openings(load_calendars(self.calendars), asked, max(since, now - MISSED_SINCE), now)
        if missed := [it for it in found if since <= it.start and it.end <= now]:
            log.warning(
                "%s: %s missed since the last run, the last one from %s to %s; it is not caught up.",
                self.summary,
                "1 window was" if len(missed) == 1 else f"{len(missed)} windows were",
                *(_moment(at).to_iso8601_string() for at in missed[-1][:2]),
            )


def _moment(at: float) -> DateTime:
    import pendulum

    return pendulum.from_timestamp(at, tz="UTC")
