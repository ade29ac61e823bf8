"""Image registries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from release_pipelines.core.model.connection import Connection
from release_pipelines.core.model.image import Copied, Descriptor, Image
from release_pipelines.core.ports.builder import RegistryLogin
from release_pipelines.core.retention import Tagged
from release_pipelines.core.seams import Seam


class Registry(Protocol):
    """An image registry. Made from a connection.

    :ivar host: its name in images.
    """

    host: str

    @property
    def login(self) -> RegistryLogin | None:
        """Credentials, of the connection or made with it; None: anybody may read. To be asked for when they are used: some run out."""

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


@runtime_checkable
class Images(Protocol):
    """What a registry can do in addition: tell what a digest is made of, and keep what belongs to it beside it.

    ``image`` is a repository, with or without the registry's host. All methods raise what
    :meth:`Registry.digest_of` raises, and :class:`~release_pipelines.core.errors.PlatformError` for what is refused.
    """

    def image(self, image: str, digest: str) -> Image | None:
        """What a digest is made of; None where it is not there. Platforms whose manifests are gone are in it all the same."""

    def lacks(self, image: Image) -> list[str]:
        """What of an image is gone from the registry, like ``linux/amd64 sha256:…``; empty: it is whole."""

    def fetch(self, image: str, digest: str, folder: Path) -> None:
        """Write one platform's image into a folder as an OCI image layout; what arrives is compared with its digests."""

    def referrers(self, image: str, digest: str) -> list[Descriptor]:
        """What is attached to a digest, by the referrers API, or by the fallback tag where the registry has none.

        Only an answer that says so is "nothing": a registry that does not answer raises.
        """

    def read(self, image: str, digest: str) -> bytes:
        """A manifest's or blob's bytes, compared with their digest."""

    def attach(
        self, image: str, digest: str, artifact_type: str, media_type: str, content: bytes, annotations: dict[str, str]
    ) -> str:
        """Attach a document to a digest, and return the digest of its manifest. One after the other, and read back.

        Attaching the same again changes nothing.
        """

    def tag(self, image: str, digest: str, tag: str) -> None:
        """Let a tag name a digest that is there."""


@runtime_checkable
class WritesManifests(Protocol):
    """What a registry can do in addition: keep a manifest as somebody else's tool lays it out."""

    def put(self, image: str, manifest: bytes, media_type: str, tag: str, blobs: Sequence[bytes]) -> str:
        """Write blobs, then the manifest that names them under a tag, and return the manifest's digest.

        :raises PlatformError: where it is refused, as where tags cannot be changed.
        """


@runtime_checkable
class Deletes(Protocol):
    """What a registry can do in addition, where its settings allow it."""

    def tagged(self, image: str) -> list[Tagged]:
        """All tags of a repository, each with all that goes with it; see :meth:`Registry.digest_of`."""

    def delete(self, image: str, digest: str) -> None:
        """Delete a manifest, and with it all tags that name it. Nothing happens where it is gone.

        :raises PlatformError: where the registry deletes nothing; see :meth:`Registry.digest_of`.
        """


@runtime_checkable
class TakesCopies(Protocol):
    """What a registry can do in addition: it takes images over from others."""

    def take(self, image: str, digest: str, origin: Registry, origin_image: str) -> Copied:
        """Copy a digest from another registry or repository, with all that belongs to it: the same bytes, and so the same digests.

        :param image: the repository that it goes to.
        :raises PlatformError: where something of it is gone from the origin; see :meth:`Registry.digest_of`.
        """


@runtime_checkable
class PreparesRepositories(Protocol):
    """What a registry can do in addition, that takes nothing for a repository which nobody has created."""

    def prepare(self, image: str) -> None:
        """Create the repository of an image where there is none, and its connection says so.

        :raises PlatformError: where it cannot be created; see :meth:`Registry.digest_of`.
        """


@runtime_checkable
class Replicates(Protocol):
    """What a registry can do in addition, that copies images to others by itself."""

    def replicated(self, image: str, digest: str) -> dict[str, str]:
        """How far a digest has come: places to the registry's word for it, like ``COMPLETE``; see :meth:`Registry.digest_of`."""


REGISTRIES: Seam[Callable[[Connection], Registry]] = Seam("registry", "release_pipelines.adapters.registries", Callable)


def registry(connection: Connection) -> Registry:
    """The registry that is called like the connection's type, otherwise one with the API of the OCI distribution."""
    return REGISTRIES.get(connection.kind if connection.kind in REGISTRIES.names() else "distribution")(connection)
