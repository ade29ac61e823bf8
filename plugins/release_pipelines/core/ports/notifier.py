"""Notifiers: they send the notice of a release's outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.base import Value
from release_pipelines.core.seams import Seam

if TYPE_CHECKING:
    from release_pipelines.core.model.connection import Connection
    from release_pipelines.core.model.notice import Notice


class NotSent(ReleaseError):
    """The receiver did not get the notice; one sentence without anything secret."""


@dataclass(frozen=True)
class Notifier:
    """A kind of receiver, as an environment's file names it.

    :param sender: dotted path of the Airflow notifier that sends. It is made with ``notice`` and the keys that the file
        gives. A path, because files are read without Airflow. None: :meth:`send` does it.
    :param needs: keys beside ``kind`` that the file must give, of ``connection``, ``channel`` and ``to``.
    :param takes: keys that the file may give besides.
    :param options: model of the key ``options``, given to the sender as such; None: there is no such key.
    :param default_connection: Airflow connection that is used where the file names none.
    """

    sender: str | None = None
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    options: type[Value] | None = None
    default_connection: str | None = None

    def send(self, notice: Notice, keys: Mapping[str, Any], connection: Connection | None) -> None:
        """Send a notice, where no Airflow notifier is named.

        :param keys: what the file gives beside ``kind``.
        :param connection: the Airflow connection that the file names; None: it names none.
        :raises NotSent: when the receiver did not take it.
        """
        raise NotImplementedError

    def missing(self) -> str | None:
        """What the notifier needs and this worker does not have, in a sentence; None: it can send."""
        return None

    def obstacle(self, keys: Mapping[str, Any], connection_type: str | None) -> str | None:
        """Why the receiver cannot be notified, as far as that shows beforehand.

        :param keys: what the file gives beside ``kind``.
        :param connection_type: of the Airflow connection; None: there is none.
        """
        return None

    def unclear(self, connection: Connection) -> str | None:
        """What the connection does not say, or says in two ways, so that nothing can be sent; None: it is clear."""
        return None


NOTIFIERS: Seam[Notifier] = Seam(
    "notifier", "release_pipelines.adapters.notifiers", Notifier, ("log", "webhook", "slack", "mail")
)
