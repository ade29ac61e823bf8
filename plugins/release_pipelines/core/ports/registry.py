"""Image registries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from release_pipelines.core.model.connection import Connection
from release_pipelines.core.ports.builder import RegistryLogin
from release_pipelines.core.seams import Seam


class Registry(Protocol):
    """An image registry. Made from a connection.

    :ivar host: its name in images.
    :ivar login: credentials of the connection; None: anybody may read.
    """

    host: str
    login: RegistryLogin | None

    def check(self) -> str:
        """A sentence that the registry answers; raises where it does not."""

    def repository(self, image: str) -> str:
        """The image's full name: the registry's host before it, unless it stands there already."""

    def digest_of(self, image: str, tag: str) -> str | None:
        """The digest that a tag names now; None when there is no such tag.

        :raises PlatformUnavailable: when the registry does not answer.
        :raises Forbidden: when it refuses these credentials.
        """


class ListsTags(Protocol):
    """What a registry can do in addition: without it nobody notices by comparison what was pushed to it."""

    def tags(self, image: str) -> list[str]:
        """The names of all tags of an image; none where there is no such image.

        :raises PlatformUnavailable: when the registry does not answer.
        :raises Forbidden: when it refuses these credentials.
        """


REGISTRIES: Seam[Callable[[Connection], Registry]] = Seam("registry", "release_pipelines.adapters.registries", Callable)


def registry(connection: Connection) -> Registry:
    """The registry that is called like the connection's type, otherwise one with the API of the OCI distribution."""
    return REGISTRIES.get(connection.kind if connection.kind in REGISTRIES.names() else "distribution")(connection)
