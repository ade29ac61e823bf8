"""Go one way while a window is open, another one while it is closed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.branch import BaseBranchOperator

from release_pipelines.airflow.calendars import standing_now

if TYPE_CHECKING:
    from airflow.sdk import Context


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
