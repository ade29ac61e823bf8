"""Base class of Airflow's notifiers: the notice, and the error of a missing connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from release_pipelines.core.model.notice import Notice
from release_pipelines.core.ports.notifier import NotSent

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReleaseNotifier(BaseNotifier):
    """Base: a subclass sends :attr:`notice` in :meth:`notify` and :meth:`async_notify`.

    The notice is no template: it holds what people wrote, and that is never run (R11).

    :param notice: the :class:`~release_pipelines.core.model.notice.Notice` or its dict.
    """

    def __init__(self, *, notice: Notice | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.notice = Notice.model_validate(notice)

    def notify(self, context: Context) -> None:
        """Send the notice.

        :raises NotSent: when the receiver did not take it.
        """
        raise NotImplementedError

    async def async_notify(self, context: Context) -> None:
        """The same without blocking."""
        raise NotImplementedError


def no_connection(connection: str) -> NotSent:
    """The error of a connection that Airflow does not know."""
    return NotSent(f"there is no Airflow connection `{connection}`")
