"""Builders elsewhere: they fetch a commit themselves, build it where they are, and push it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from release_pipelines.core.model.connection import Connection
from release_pipelines.core.ports.builder import Publication
from release_pipelines.core.seams import Seam


@dataclass(frozen=True)
class Order:
    """What shall be built.

    :param key: stands for one try of one task: the same key is the same build.
    :param repository: its address, without credentials.
    :param commit: full hash.
    :param ref: the branch or tag that it was found by, like ``refs/tags/v1.0.0``; empty: unknown.
    :param tag: the image's tag; None: nothing is pushed.
    :param version: the version that it is of.
    :param context: folder inside the repository.
    :param dockerfile: path inside ``context``.
    :param target: stage of the Dockerfile; None: the last one.
    :param timeout: seconds that it may take.
    """

    key: str
    repository: str
    commit: str
    publication: Publication
    tag: str | None
    version: str
    context: str = "."
    dockerfile: str = "Dockerfile"
    target: str | None = None
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 1800
    ref: str = ""


@dataclass(frozen=True)
class Standing:
    """How far a build is.

    :param sentence: where it is, for people.
    :param ended: whether it has ended, and well.
    :param digest: what it pushed, in its own words: never what a tag names afterwards.
    """

    sentence: str
    ended: bool = False
    digest: str | None = None


class RemoteBuilder(Protocol):
    """One place where images are built.

    All methods raise :class:`~release_pipelines.core.errors.PlatformUnavailable` where another try may mend it, and another
    :class:`~release_pipelines.core.errors.PlatformError` where not.
    """

    async def start(self, order: Order) -> str:
        """Begin a build, and return what it is called there."""

    async def look(self, build: str) -> Standing:
        """How far it is. A build that failed, or of which it cannot be told that it succeeded, raises, with the reason."""

    async def stop(self, build: str) -> None:
        """End a build. One that has ended, or is gone, is none."""


@dataclass(frozen=True)
class Clients:
    """What connects to the places.

    :param kubernetes: opens a client of the connection's cluster.
    :param aws: boto3's client of a service of AWS: its name, and its region (None: the connection's).
    """

    kubernetes: Callable[[], AbstractAsyncContextManager[Any]]
    aws: Callable[[str, str | None], Any]


class RemoteBuilderKind(Protocol):
    """A kind of such places.

    :ivar connection_type: of the Airflow connections that lead there.
    """

    connection_type: str

    def misfit(self, settings: Mapping[str, Any]) -> str | None:
        """What is expected in place of these settings; None: they fit. Imports nothing heavy."""

    def cannot(self, order: Order, settings: Mapping[str, Any]) -> str | None:
        """What of an order it cannot do, in a sentence; None: all can be done."""

    def open(
        self, connection: Connection, clients: Clients, settings: Mapping[str, Any]
    ) -> AbstractAsyncContextManager[RemoteBuilder]:
        """The place that a connection leads to."""


REMOTE_BUILDERS: Seam[RemoteBuilderKind] = Seam("remote_builder", "release_pipelines.adapters.remote_builders", object)
