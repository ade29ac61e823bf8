"""An image from one registry to another, by digest: its index, the images of all platforms, and whatever is attached to any of them.

What is made of others comes after them, and a tag comes last: whoever looks meanwhile finds nothing that is not whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from release_pipelines.adapters.registries._manifests import (
    SINGLES,
    blobs_of,
    descriptor,
    is_index,
    media_type,
    parsed,
    referrer_of,
)
from release_pipelines.adapters.registries._reading import fallback_tag
from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.model.image import Copied, Descriptor
from release_pipelines.core.text import one_line

if TYPE_CHECKING:
    import httpx

    from release_pipelines.adapters.registries.distribution import Distribution

COSIGN = ("sig", "att", "sbom")
"""What follows a digest in tags under which cosign keeps its signatures, beside the fallback tag."""
MOST = 2_000
"""So many manifests go with one image at most."""


class Copying:
    """One image on its way.

    :param origin: where it is.
    :param image: its repository there.
    :param target: where it goes.
    :param into: its repository there.
    """

    def __init__(self, origin: Distribution, image: str, target: Distribution, into: str) -> None:
        self.origin, self.name = origin, origin.name(image)
        self.target, self.into = target, target.name(into)
        self.near = origin.host == target.host and origin.name(image) != target.name(into)
        self.seen: set[str] = set()
        self.manifests = self.attached = self.blobs = self.size = 0

    def run(self, digest: str) -> Copied:
        """Copy a digest with all that goes with it.

        :raises PlatformError: where something of it is gone, or a registry refuses.
        """
        with self.origin.session() as here, self.target.session() as there:
            self._image(here, there, digest)
        return Copied(
            repository=self.target.repository(self.into),
            digest=digest,
            manifests=self.manifests,
            attached=self.attached,
            blobs=self.blobs,
            size=self.size,
        )

    def _image(self, here: httpx.Client, there: httpx.Client, digest: str) -> tuple[dict[str, Any], Descriptor]:
        """A manifest after all that it names; then what is attached to it."""
        if len(self.seen) > MOST:
            raise PlatformError(f"More than {MOST:,} manifests go with an image of {self.name}: that is no image.")
        self.seen.add(digest)
        where = f"{self.name}@{digest}"
        content = self.origin._bytes(here, self.name, "manifests", digest)
        if content is None:
            raise PlatformError(f"{where} is gone from the registry {self.origin.host}: it cannot be copied.")
        document = parsed(content, where)
        kind = media_type(document)
        if is_index(document):
            for entry in document["manifests"]:
                child = descriptor(entry, where).digest
                if child not in self.seen:
                    self._image(here, there, child)
        else:
            for _, blob in blobs_of(document, where):
                self._blob(here, there, blob)
        self._put(there, digest, kind, content)
        self._attached(here, there, digest)
        return document, Descriptor(media_type=kind, digest=digest, size=len(content))

    def _attached(self, here: httpx.Client, there: httpx.Client, digest: str) -> None:
        for it in self.origin.referrers(self.name, digest):
            if it.digest in self.seen:
                continue
            document, found = self._image(here, there, it.digest)
            entry = referrer_of(document, found) if found.media_type in SINGLES else it
            self.target._list(there, self.into, digest, entry, listed=False)
            self.attached += 1
        for end in COSIGN:
            tag = f"{fallback_tag(digest)}.{end}"
            signed = self.origin.digest_of(self.name, tag)
            if signed and signed not in self.seen:
                self._image(here, there, signed)
                self.target.tag(self.into, signed, tag)
                self.attached += 1

    def _blob(self, here: httpx.Client, there: httpx.Client, blob: Descriptor) -> None:
        if blob.digest in self.seen:
            return
        self.seen.add(blob.digest)
        mount = self.name if self.near else ""
        if self.target.put_blob(there, self.into, blob.digest, blob.size, partial(self._read, here, blob), mount):
            self.blobs += 1
            self.size += blob.size

    def _read(self, here: httpx.Client, blob: Descriptor) -> Iterator[bytes]:
        """Its bytes. What goes wrong here is the origin's, and not of the registry that they are sent to."""
        import httpx

        try:
            yield from self.origin._pieces(here, self.name, blob)
        except httpx.HTTPError as error:
            raise PlatformUnavailable(f"The registry {self.origin.host} does not answer: {one_line(error)}.") from error

    def _put(self, there: httpx.Client, digest: str, kind: str, content: bytes) -> None:
        if not self.target._there(there, self.into, "manifests", digest):
            self.target.put_manifest(there, self.into, digest, kind, content)
            self.manifests += 1
