"""The API that almost all image registries have, the OCI distribution's: what is asked of it, and what is written there."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

from release_pipelines.adapters.registries._client import said
from release_pipelines.adapters.registries._manifests import (
    EMPTY_CONFIG,
    INDEX,
    MANIFEST,
    artifact,
    digest_of,
    index_of,
    media_type,
    parsed,
    referrer_of,
    written,
)
from release_pipelines.adapters.registries._reading import Reader, fallback_tag
from release_pipelines.core.errors import Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.model.image import Copied, Descriptor
from release_pipelines.core.retention import Tagged

if TYPE_CHECKING:
    import httpx

    from release_pipelines.core.ports.registry import Registry

BESIDE = re.compile(r"sha256-[0-9a-f]{64}(\.|$)")
"""Tags under which clients keep what is attached to a digest."""
TRIES = 8
"""How often what is attached is written to the fallback tag before it counts as lost."""
in_turn: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
"""Whose turn it is to write a fallback tag, in this process."""


class Distribution(Reader):
    """A registry of the OCI distribution's API.

    :ivar settles: so long after a write of the fallback tag it is looked at again, in seconds: another writer, which had read the tag
        before, may have written what it knew.
    """

    settles = 0.5

    def attach(
        self,
        image: str,
        digest: str,
        artifact_type: str,
        media_type: str,
        content: bytes,
        annotations: dict[str, str],
    ) -> str:
        """Attach a document to a digest. See :class:`~release_pipelines.core.ports.registry.Images`."""
        name = self.name(image)
        with self.session() as client:
            found = self._read_manifest(client, name, digest)
            if found is None:
                raise PlatformError(
                    f"Nothing can be attached to {name}@{digest}: it is not in the registry {self.host}."
                )
            subject = Descriptor(media_type=found[1], digest=digest, size=found[2])
            layer = Descriptor(media_type=media_type, digest=digest_of(content), size=len(content))
            document = artifact(subject, artifact_type, layer, annotations)
            body = written(document)
            referrer = referrer_of(document, Descriptor(media_type=MANIFEST, digest=digest_of(body), size=len(body)))
            for blob in (content, EMPTY_CONFIG):
                self.put_blob(client, name, digest_of(blob), len(blob), partial(_once, blob))
            answer = self.put_manifest(client, name, referrer.digest, MANIFEST, body)
            self._list(client, name, digest, referrer, listed="OCI-Subject" in answer.headers)
        return referrer.digest

    def tag(self, image: str, digest: str, tag: str) -> None:
        """Let a tag name a digest that is there. Nothing happens where it does so already."""
        name = self.name(image)
        if self.digest_of(image, tag) == digest:
            return
        with self.session() as client:
            found = self._manifest(client, name, digest)
            if found.status_code == 404:
                raise PlatformError(f"{name}@{digest} cannot be tagged {tag}: it is not in the registry {self.host}.")
            self.refuse(found, f"{name}@{digest}")
            self._compare(found.content, digest, f"{name}@{digest}")
            kind = media_type(parsed(found.content, f"{name}@{digest}"), found.headers.get("Content-Type", ""))
            self.put_manifest(client, name, tag, kind, found.content)
        if (now := self.digest_of(image, tag)) != digest:
            raise PlatformError(f"{name}:{tag} in the registry {self.host} names {now} after it was set to {digest}.")

    def put(self, image: str, manifest: bytes, media_type: str, tag: str, blobs: Sequence[bytes]) -> str:
        """Write blobs and the manifest that names them. See :class:`~release_pipelines.core.ports.registry.WritesManifests`."""
        name = self.name(image)
        with self.session() as client:
            for blob in blobs:
                self.put_blob(client, name, digest_of(blob), len(blob), partial(_once, blob))
            self.put_manifest(client, name, tag, media_type, manifest)
        return digest_of(manifest)

    def take(self, image: str, digest: str, origin: Registry, origin_image: str) -> Copied:
        """Copy a digest from another registry. See :class:`~release_pipelines.core.ports.registry.TakesCopies`."""
        from release_pipelines.adapters.registries._copying import Copying

        if not isinstance(origin, Distribution):
            raise PlatformError(
                f"Images cannot be copied from {origin.host}: a registry of the OCI distribution is expected."
            )
        return Copying(origin, origin_image, self, image).run(digest)

    def tagged(self, image: str) -> list[Tagged]:
        """All tags of a repository, each with all that goes with it. See :class:`~release_pipelines.core.ports.registry.Deletes`."""
        from release_pipelines.adapters.registries._belonging import belonging

        named = {it: self.digest_of(image, it) for it in self.tags(image)}
        tags = {tag: digest for tag, digest in named.items() if digest}
        known: dict[str, frozenset[str]] = {}
        for tag, digest in tags.items():
            if not BESIDE.match(tag) and digest not in known:
                known[digest] = belonging(self, image, digest, tags)
        return [Tagged(tag, digest, known[digest]) for tag, digest in tags.items() if not BESIDE.match(tag)]

    def delete(self, image: str, digest: str) -> None:
        """Delete a manifest, and with it all tags that name it. See :class:`~release_pipelines.core.ports.registry.Deletes`."""
        name = self.name(image)
        with self.session() as client:
            answer = self.ask(client, "DELETE", f"/v2/{name}/manifests/{digest}")
        if answer.status_code == 405:
            raise PlatformError(
                f"The registry {self.host} deletes nothing (405){said(answer)}: its settings forbid it."
            )
        self.refuse(answer, f"{name}@{digest}", "delete from", 200, 202, 204, 404)

    def put_blob(
        self,
        client: httpx.Client,
        name: str,
        digest: str,
        size: int,
        body: Callable[[], Iterable[bytes]],
        mount_from: str = "",
    ) -> bool:
        """Upload a blob unless it is there.

        :param body: gives its bytes, anew at each call.
        :param mount_from: a repository of this registry that has it: the registry takes it over where it can.
        :returns: whether bytes were sent.
        """
        where = f"{name}@{digest}"
        if self._there(client, name, "blobs", digest):
            return False
        start = f"/v2/{name}/blobs/uploads/"
        if mount_from:
            start += f"?mount={digest}&from={mount_from}"
        answer = self.ask(client, "POST", start, {"Content-Length": "0"})
        self.refuse(answer, where, "write", 201, 202)
        if answer.status_code == 201:
            return False
        location = urljoin(f"{self._url}{start}", answer.headers.get("Location", ""))
        location += f"{'&' if '?' in location else '?'}digest={quote(digest, safe='')}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        self.refuse(self.ask(client, "PUT", location, headers, body), where, "write", 201, 204)
        return True

    def put_manifest(
        self, client: httpx.Client, name: str, reference: str, kind: str, content: bytes
    ) -> httpx.Response:
        """Write a manifest, under its digest or under a tag.

        :raises PlatformError: with what to do, where a tag cannot be changed.
        """
        where = f"{name}{'@' if reference.startswith('sha256:') else ':'}{reference}"
        answer = self.ask(client, "PUT", f"/v2/{name}/manifests/{reference}", {"Content-Type": kind}, content)
        if 400 <= answer.status_code < 500 and answer.status_code not in (401, 429) and ":" not in reference:
            self._refuse_tag(client, name, reference, content, answer)
        self.refuse(answer, where, "write", 201, 200)
        return answer

    def _refuse_tag(self, client: httpx.Client, name: str, tag: str, content: bytes, answer: httpx.Response) -> None:
        """Raise where it is an existing tag that was not written: it is immutable."""
        words = said(answer)
        if answer.status_code == 403 and "immutab" not in words.lower():
            raise Forbidden(f"The registry {self.host} does not let this connection write {name}:{tag} (403){words}.")
        now = self._manifest(client, name, tag)
        if now.status_code != 200 or now.content == content:
            return
        advice = (
            "exclude `sha256-*` from the immutability of its tags, or use a registry that has the referrers API"
            if tag.startswith("sha256-")
            else "give it another tag, or exclude this one from the immutability of its tags"
        )
        raise PlatformError(
            f"The registry {self.host} does not let the tag {tag} of {name} be changed ({answer.status_code}){words}: {advice}."
        )

    def _list(self, client: httpx.Client, name: str, digest: str, referrer: Descriptor, listed: bool) -> None:
        """See to it that what was attached is found again.

        :param listed: whether the registry says that it lists it itself.
        """
        api = self._by_api(client, name, digest)
        if listed or api is not None:
            for again in range(TRIES):
                if any(it.digest == referrer.digest for it in api or []):
                    return
                time.sleep(min(0.1 * 2**again, 2.0))  # some list it a moment later
                api = self._by_api(client, name, digest)
            if listed:
                raise PlatformUnavailable(
                    f"The registry {self.host} has taken {referrer.digest}, and does not list it with {name}@{digest}."
                )
        with in_turn[f"{self.host}/{name}@{digest}"]:
            for _ in range(TRIES):
                entries, _now = self._by_tag(client, name, digest)
                if any(it.digest == referrer.digest for it in entries):
                    return
                self.put_manifest(client, name, fallback_tag(digest), INDEX, index_of([*entries, referrer]))
                time.sleep(self.settles * (1 + random.random()))
        raise PlatformUnavailable(
            f"What was attached to {name}@{digest} in the registry {self.host} was overwritten {TRIES} times: others write its tag "
            f"{fallback_tag(digest)} without a pause."
        )


def _once(content: bytes) -> list[bytes]:
    return [content]


REGISTRY = Distribution
"""Made from a connection."""
