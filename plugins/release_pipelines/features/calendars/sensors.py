"""Wait for a window."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator

from release_pipelines.airflow.calendars import standing_now
from release_pipelines.core.model.base import to_json
from release_pipelines.features.calendars.triggers import ReleaseWindowTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

LONGEST_WAIT = timedelta(days=3660)
"""A window may be years away: Airflow's seven days are no limit here."""


class ReleaseWindowSensor(BaseSensorOperator):
    """Succeed when all calendars are open, at once if they are.

    Deferred by default: holds no worker slot, however long it takes. After waking it looks again, and waits on where a freeze
    was put in or the window has passed.

    :param calendars: names of calendars; all of them must be open. One that cannot be read is closed.
    :param app: the app that entries may be limited to; empty for none.
    :param environment: the environment, likewise.
    :param tags: the app's tags.
    :param deferrable: False: poke in the worker.
    :return: the :class:`~release_pipelines.core.calendars.Standing` as a dict; where it pokes, nothing.

    Templated: ``app``, ``environment``.
    XCom: return value.
    """

    template_fields: Sequence[str] = ("app", "environment")

    def __init__(
        self,
        *,
        calendars: Sequence[str],
        app: str = "",
        environment: str = "",
        tags: Sequence[str] = (),
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("timeout", LONGEST_WAIT.total_seconds())
        super().__init__(**kwargs)
        self.calendars, self.app, self.environment, self.tags = list(calendars), app, environment, list(tags)
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        """Look once, then wait for the trigger."""
        if not self.deferrable:
            return super().execute(context)
        return self.look(context)

    def poke(self, context: Context) -> bool:
        """Whether all calendars are open."""
        now = standing_now(self.calendars, self.app, self.environment, self.tags)
        self.log.info("%s", now.sentence)
        return now.open

    def look(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Go on if it is open now, whatever the trigger saw; else wait on."""
        now = standing_now(self.calendars, self.app, self.environment, self.tags)
        self.log.info("%s", now.sentence)
        if not now.open:
            trigger = ReleaseWindowTrigger(self.calendars, self.app, self.environment, self.tags)
            self.defer(trigger=trigger, method_name="look")
        return to_json(now)
