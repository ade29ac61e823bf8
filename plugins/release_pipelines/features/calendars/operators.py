"""Go one way while a window is open, another one while it is closed; fetch a calendar that is kept elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.branch import BaseBranchOperator
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

from release_pipelines.airflow.calendars import standing_now
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.operator import ReleaseOperator
from release_pipelines.core.errors import ReleaseError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.adapters.calendars.fetch import Fetched
    from release_pipelines.core.model.calendar_copy import CalendarCopy
    from release_pipelines.spec.calendars import CalendarSpec


class WindowBranchOperator(BaseBranchOperator):
    """Follow ``if_open`` where all calendars are open now, else ``if_closed``.

    :param calendars: names of calendars; one that cannot be read is closed.
    :param if_open: ids of the tasks that follow while it is open.
    :param if_closed: ids of those that follow while it is closed; none: everything behind is skipped.
    :param app: the app that entries may be limited to; empty for none.
    :param environment: the environment, likewise.
    :param tags: the app's tags.

    Templated: ``app``, ``environment``.
    XCom: return value, the ids that were followed.
    """

    template_fields: Sequence[str] = ("app", "environment")

    def __init__(
        self,
        *,
        calendars: Sequence[str],
        if_open: str | list[str],
        if_closed: str | list[str] | None = None,
        app: str = "",
        environment: str = "",
        tags: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.calendars, self.app, self.environment, self.tags = list(calendars), app, environment, list(tags)
        self.if_open, self.if_closed = if_open, if_closed

    def choose_branch(self, context: Context) -> str | Iterable[str]:
        """The ids of the tasks that follow."""
        now = standing_now(self.calendars, self.app, self.environment, self.tags)
        self.log.info("%s", now.sentence)
        return self.if_open if now.open else self.if_closed or []


class FetchCalendarOperator(ReleaseOperator):
    """Fetch a calendar that is kept elsewhere, and keep it in the history as the last good copy for all who ask it.

    Where that fails the copy stays, the history keeps why, and the task fails. A whole calendar in which an entry cannot be read is kept:
    it is how the calendar stands now, and closes it.

    :param calendar: the calendar's name.
    :param folder: of the calendars' files.
    :return: ``{"events", "changed"}``: how many events it has, and whether it is another state than before.

    XCom: return value; ``reason`` when it fails.
    """

    def __init__(self, *, calendar: str, folder: Path | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.calendar = calendar
        self.folder = str(folder)

    def work(self, context: Context) -> dict[str, Any]:
        """Fetch it once."""
        from release_pipelines.adapters.calendars.fetch import NotFetched, events_in, same
        from release_pipelines.spec.calendars import load_spec
        from release_pipelines.spec.copies import calendar_of_copy
        from release_pipelines.spec.loader import SpecError

        try:
            spec = load_spec(Path(self.folder) / f"{self.calendar}.yaml")
        except SpecError as error:
            raise AirflowFailException(str(error)) from None
        if spec.source is None:
            raise AirflowFailException(f"{self.calendar}: nothing has to be fetched: its entries are in files.")
        history = HistoryHook().history().at(time.time())
        copy = history.calendar_copies().get(spec.name)
        copy = copy if copy and copy.source == spec.source else None
        try:
            fetched, validators = self._fetched(spec, copy)
        except (ReleaseError, AirflowNotFoundException) as error:
            mistake = str(error).rstrip(".")
            history.calendar_not_fetched(spec.name, spec.source, copy, mistake)
            raise NotFetched(f"{spec.name}: {mistake}.") from None
        changed = fetched is not None and (
            copy is None or copy.content is None or not same(fetched.content, copy.content)
        )
        if fetched is not None and changed:
            history.keep_calendar(spec.name, spec.source, fetched.content, validators, _remark(fetched.content, copy))
        elif copy is not None:
            history.calendar_is_unchanged(
                copy if fetched is None else copy.model_copy(update={"validators": validators})
            )
        kept = history.calendar_copies()[spec.name]
        calendar = calendar_of_copy(spec, kept, time.time())
        for it in (*calendar.notes, *([calendar.trouble] if calendar.trouble else [])):
            self.log.warning("%s: %s.", spec.name, it)
        if calendar.broken is not None:
            raise AirflowFailException(f"{calendar.broken}. The calendar counts as closed.")
        return {"events": events_in(kept.content or ""), "changed": changed}

    def _fetched(self, spec: CalendarSpec, copy: CalendarCopy | None) -> tuple[Fetched | None, str | None]:
        """What is there now, None where it is what is known; and what the server has to be asked with the next time."""
        from release_pipelines.adapters.calendars.fetch import change_calendar, fetch, fingerprint

        if spec.aws:
            from release_pipelines.airflow.hooks.aws import systems_manager

            return change_calendar(systems_manager(spec.aws.connection), spec.aws.document), None
        url, headers = self._address(spec)
        place = fingerprint(url)
        known = json.loads(copy.validators) if copy and copy.validators else {}
        fetched = fetch(url, headers, known if known.get("address") == place else {})
        if fetched is None:
            return None, None
        return fetched, json.dumps({"address": place, "etag": fetched.etag, "modified": fetched.modified})

    @staticmethod
    def _address(spec: CalendarSpec) -> tuple[str, dict[str, str]]:
        if spec.connection is None:
            return str(spec.ics), {}
        from release_pipelines.airflow.connections import values_of
        from release_pipelines.core.address import request_headers, web_address

        connection = values_of(BaseHook.get_connection(spec.connection))
        return web_address(connection), request_headers(connection)


def _remark(content: str, copy: CalendarCopy | None) -> str | None:
    """What is strange about a new state of a calendar."""
    from release_pipelines.adapters.calendars.fetch import events_in
    from release_pipelines.core.calendars.zones import shown, zone

    if copy is None or copy.content is None or events_in(content):
        return None
    if before := events_in(copy.content):
        now = shown(round(time.time()), zone("UTC"))
        return f"it has had no events since {now}; before that it had {before}"
    return copy.remark
