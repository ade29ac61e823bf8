"""Builders: they build an image from a folder, and push it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from release_pipelines.core.model.connection import Connection
from release_pipelines.core.seams import Seam

REVISION = "org.opencontainers.image.revision"
VERSION = "org.opencontainers.image.version"
CREATED = "org.opencontainers.image.created"

Log = Callable[[str], None]
"""Takes one line of a log."""


@dataclass(frozen=True)
class RegistryLogin:
    """Credentials for a registry.

    :param host: the registry's name in images.
    """

    host: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Secret:
    """A secret of a build, one of both.

    :param value: the secret itself.
    :param path: a file on this machine that holds it.
    """

    value: str | None = field(default=None, repr=False)
    path: str | None = None


@dataclass(frozen=True)
class Recipe:
    """Parameters of a build.

    :param folder: the build context.
    :param dockerfile: path inside ``folder``.
    :param target: stage of the Dockerfile; None: the last one.
    :param args: build arguments, over those of the builder's connection.
    :param secrets: ids to secrets, for single steps of the build. They are never part of the image, and never logged.
    """

    folder: Path
    dockerfile: str = "Dockerfile"
    target: str | None = None
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)


@dataclass(frozen=True)
class Publication:
    """How an image is pushed by whoever builds it, at once.

    :param name: the image's name, with the registry's host, without a tag.
    :param platforms: like ``linux/amd64``; none: the builder's own.
    :param cache: name and tag under which steps are kept for later builds; None: nowhere.
    :param provenance: whether the builder attests what it did. The digest is that of an index then.
    :param epoch: seconds since 1970 that stand for every time in the image, so that the same source makes the same digest; None: the real ones.
    :param insecure: the registry speaks plain http.
    """

    name: str
    platforms: tuple[str, ...] = ()
    cache: str | None = None
    provenance: bool = False
    epoch: int | None = None
    insecure: bool = False

    def shown(self) -> list[str]:
        """What it asks for, as people write it."""
        asked = {
            "platforms": self.platforms,
            "cache": self.cache,
            "provenance": self.provenance,
            "reproducible": self.epoch is not None,
        }
        return [f"`build.{key}`" for key, value in asked.items() if value]


class Builder(Protocol):
    """Builds and pushes images. Made from a connection.

    All methods raise :class:`~release_pipelines.core.errors.PlatformUnavailable` where another try may mend it, and
    another :class:`~release_pipelines.core.errors.PlatformError` where not. ``what`` is the work in words, for sentences.

    A builder may also have ``obstacle(dockerfile, secrets)``: why it cannot build, in a sentence, or None. ``dockerfile`` gives the
    Dockerfile's text when it is called, or None; ``secrets`` says whether the build has any. Preflight asks it. And it may have
    ``stop()``, which ends the build that runs: called from a signal handler, when its task is ended.
    """

    def check(self) -> str:
        """A sentence that the builder answers; raises where it does not."""

    def build(
        self, recipe: Recipe, tag: str | None, login: RegistryLogin | None, what: str, timeout: float, log: Log
    ) -> str:
        """Build an image, and return its id.

        :param tag: the image's full name; None: it is not kept.
        :param timeout: maximum silence of the builder, in seconds.
        """

    def push(
        self, name: str, tag: str, commit: str | None, login: RegistryLogin | None, what: str, log: Log
    ) -> str | None:
        """Push an image, and return the digest that the builder knows it by, if it says any.

        :param commit: the commit that it must have been built from.
        """


@runtime_checkable
class Publisher(Protocol):
    """What a builder can do in addition: push what it builds at once, for several platforms.

    :ivar keeps: whether it keeps images, too, so that they can be pushed later; where not, all that it makes is pushed at once.
    """

    keeps: bool

    def cannot_publish(
        self, publication: Publication, dockerfile: Callable[[], str | None], target: str | None
    ) -> str | None:
        """Why it cannot, in a sentence; None: it can, as far as can be told.

        :param dockerfile: gives the Dockerfile's text, or None; called only where it matters.
        :param target: the stage that is built.
        """

    def publish(
        self, recipe: Recipe, publication: Publication, login: RegistryLogin | None, what: str, timeout: float, log: Log
    ) -> str:
        """Build an image, push it without a tag, and return the digest that the build itself says: of the index where there are several platforms.

        Nobody finds what has no tag: that it is pushed before it was examined does no harm.
        """


BUILDERS: Seam[Callable[[Connection], Builder]] = Seam("builder", "release_pipelines.adapters.builders", Callable)


def builder(connection: Connection) -> Builder:
    """The builder that is called like the connection's type, otherwise a container engine with Docker's API."""
    return BUILDERS.get(connection.kind if connection.kind in BUILDERS.names() else "engine")(connection)
