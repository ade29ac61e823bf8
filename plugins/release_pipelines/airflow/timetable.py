"""A timetable of windows: a run begins when its window opens."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.timetables.base import DagRunInfo, DataInterval, Timetable

if TYPE_CHECKING:
    from airflow.models.dag import DagModel
    from airflow.timetables.base import TimeRestriction
    from pendulum import DateTime

log = logging.getLogger(__name__)

DAY = 86400.0
MISSED_SINCE = 366 * DAY
"""So far back missed windows are counted, in seconds."""
_told: dict[str, float] = {}
"""The last missed window that this process has told of each timetable: the scheduler asks for the next run in each of its loops."""


class _Window(NamedTuple):
    """When a window begins, when it is first open, and when it ends; Unix times in seconds."""

    began: float
    start: float
    end: float


class MaintenanceWindowTimetable(Timetable):
    """One run for each window; its data interval is from when the calendars open to the window's end.

    Windows that touch are one, and a freeze in the middle of one makes no second run. Where calendars have nothing but freezes,
    a run begins when a freeze ends. A window that was missed is not caught up, whatever ``catchup`` says: the log tells it, once.
    One that is still open starts its run late. A run may begin late for other reasons (``max_active_runs``, a full pool), so the first task asks
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
        """The window that is open now and has no run yet, else the next one."""
        now = time.time()
        earliest = restriction.earliest.timestamp() if restriction.earliest else now
        last = None
        if last_dagrun_info is not None and (interval := last_dagrun_info.data_interval) is not None:
            last = interval.start.timestamp()
            self._tell_missed(last, now)
        for it in self._windows(max(now, earliest)):
            if (it.start < earliest) if last is None else (it.began <= last):
                continue
            if restriction.latest is not None and it.start > restriction.latest.timestamp():
                return None
            return _run_in(it)
        return None

    def next_run_info_from_dag_model(self, *, dag_model: DagModel) -> DagRunInfo | None:
        """The run that Airflow planned when it read the file last, if its window is open now.

        :raises AirflowTimetableInvalid: when it is not: the scheduler was away, or a freeze was put in. There is no run then, and the next one is
            planned. An error is the only word for that which the scheduler knows; it logs it.
        """
        from airflow.exceptions import AirflowTimetableInvalid

        planned = super().next_run_info_from_dag_model(dag_model=dag_model)
        if planned is None or planned.data_interval is None:
            return planned
        begins, now = planned.data_interval.start.timestamp(), time.time()
        found = next(self._windows(now), None)
        if found is not None and found.start <= now and found.began <= begins:
            return _run_in(found)
        following = _run_in(found) if found is not None else None
        dag_model.next_dagrun = following.logical_date if following else None
        dag_model.next_dagrun_data_interval = following.data_interval if following else None
        dag_model.next_dagrun_create_after = following.run_after if following else None
        raise AirflowTimetableInvalid(
            f"{self.summary}: the window that was to open at {planned.run_after.isoformat()} is not open now, so there is no run for it. The next "
            f"one opens {f'at {following.run_after.isoformat()}' if following else 'at no time that is known'}."
        )

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """The window in which a manual run begins, else the next one; a second where none is known."""
        at = run_after.timestamp()
        found = next(self._windows(at), None) or _Window(at, at, at + 1)
        return DataInterval(_moment(found.start), _moment(found.end))

    def _windows(self, at: float) -> Iterator[_Window]:
        """The windows that are open at an instant or open later, in order. A freeze in the middle of one makes no second one."""
        from release_pipelines.airflow.calendars import load_calendars
        from release_pipelines.core.calendars import Asked, standing, without_freezes

        asked = Asked(self.app, self.environment, frozenset(self.tags))
        calendars = load_calendars(self.calendars)
        unfrozen = [without_freezes(it) for it in calendars]
        while True:
            now = standing(calendars, asked, at)
            if not now.open:
                if now.opens_at is None:
                    return
                at = now.opens_at
                continue
            whole = standing(unfrozen, asked, at)
            if whole.began_at is None or whole.closes_at is None:
                whole = now  # open but for freezes: it opens where one of them ends
            if whole.began_at is not None:
                first = standing(calendars, asked, whole.began_at)
                start = whole.began_at if first.open or first.opens_at is None else first.opens_at
                yield _Window(whole.began_at, start, start + DAY if whole.closes_at is None else whole.closes_at)
            if whole.closes_at is None:
                return
            at = whole.closes_at

    def _tell_missed(self, last: float, now: float) -> None:
        missed, name = [], repr(self.serialize())
        told = max(last, _told.get(name, last))
        for it in self._windows(max(told, now - MISSED_SINCE)):
            if it.end > now:
                break
            if it.began > told:
                missed.append(it)
        if missed:
            _told[name] = missed[-1].began
            log.warning(
                "%s: %s missed since the last run, the last one from %s to %s; it is not caught up.",
                self.summary,
                "1 window was" if len(missed) == 1 else f"{len(missed)} windows were",
                *(_moment(at).to_iso8601_string() for at in missed[-1][1:]),
            )


def _run_in(window: _Window) -> DagRunInfo:
    start, end = _moment(window.start), _moment(window.end)
    return DagRunInfo(run_after=start, data_interval=DataInterval(start, end))


def _moment(at: float) -> DateTime:
    import pendulum

    return pendulum.from_timestamp(at, tz="UTC")
