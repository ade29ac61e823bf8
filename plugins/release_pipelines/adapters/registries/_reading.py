"""What a registry is asked: the digest of a tag, what a digest is made of, and what is attached to it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from release_pipelines.adapters.registries._client import PIECE_BYTES, Client
from release_pipelines.adapters.registries._manifests import (
    ACCEPT,
    CONFIGS,
    EMPTY,
    INDEX,
    blobs_of,
    descriptor,
    digest_of,
    is_beside,
    is_index,
    media_type,
    parsed,
    platform_of,
    referrer_of,
)
from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.model.image import Descriptor, Image, PlatformImage

if TYPE_CHECKING:
    import httpx

PAGE_TAGS = 1000
MOST_PAGES = 100
"""Tags that are asked for at once, and how often at most; of lists of referrers, too."""
AT_ONCE = 8
"""So many blobs are asked for at the same time."""
DOCUMENT_BYTES = 100_000_000
"""Maximum length of a document that is attached to an image, in bytes."""
IMAGE_BYTES = 30_000_000_000
"""Maximum size of one platform's image that is fetched, in bytes."""
NO_REFERRERS = (400, 404, 405, 406)
"""How registries answer that do not know the referrers API. Every other answer that is no list is an error."""
AS_IT_IS = {"Accept-Encoding": "identity"}
"""Header for blobs: layers are compressed already, and their digest is that of the compressed bytes."""
UNKNOWN = "unknown"
"""The platform of an image that says nothing about it."""


class Reader(Client):
    """What is asked."""

    def digest_of(self, image: str, tag: str) -> str | None:
        """The digest that a tag names now: of the index, where the image is one of several architectures."""
        name = self.name(image)
        with self.session() as client:
            answer = self._manifest(client, name, tag, "HEAD")
            if answer.status_code == 200 and "Docker-Content-Digest" not in answer.headers:
                answer = self._manifest(client, name, tag)
        if answer.status_code == 404:
            return None
        self.refuse(answer, f"{name}:{tag}")
        return str(answer.headers.get("Docker-Content-Digest") or digest_of(answer.content))

    def tags(self, image: str) -> list[str]:
        """The names of all tags of an image; none where there is no such image."""
        name = self.name(image)
        with self.session() as client:
            found: list[str] = []
            for answer in self._pages(client, f"/v2/{name}/tags/list?n={PAGE_TAGS}"):
                if answer.status_code == 404:
                    break
                self.refuse(answer, f"{name}:tags")
                try:
                    found += [it for it in answer.json()["tags"] or [] if isinstance(it, str)]
                except (ValueError, KeyError, TypeError):
                    raise PlatformUnavailable(f"The registry {self.host} gives no list of tags of {name}.") from None
            return found

    def image(self, image: str, digest: str) -> Image | None:
        """What a digest is made of; None where it is not there. See :class:`~release_pipelines.core.ports.registry.Images`."""
        name = self.name(image)
        with self.session() as client:
            found = self._read_manifest(client, name, digest)
            if found is None:
                return None
            document, kind, size = found
            platforms: list[PlatformImage] = []
            beside: list[Descriptor] = []
            if is_index(document):
                self._entries(client, name, digest, document, platforms, beside, depth=2)
            else:
                platform = self._platform(client, name, digest, document)
                platforms.append(PlatformImage(media_type=kind, digest=digest, size=size, platform=platform or UNKNOWN))
        order = sorted(platforms, key=lambda it: it.platform)
        return Image(
            repository=self.repository(image), digest=digest, media_type=kind, platforms=order, attestations=beside
        )

    def lacks(self, image: Image) -> list[str]:
        """What of an image is gone: the digest itself, a platform's manifest, its configuration, a layer."""
        name = self.name(image.repository)
        gone: list[str] = []
        blobs: list[tuple[str, str]] = []
        with self.session() as client:
            if image.digest not in _digests(image) and not self._there(client, name, "manifests", image.digest):
                gone.append(f"index {image.digest}")
            for it in image.platforms:
                found = self._read_manifest(client, name, it.digest)
                if found is None:
                    gone.append(f"{it.platform} {it.digest}")
                elif not is_index(found[0]):
                    parts = blobs_of(found[0], f"{name}@{it.digest}")
                    blobs += [(blob.digest, f"{it.platform} {what} {blob.digest}") for what, blob in parts]
            asked = sorted({digest for digest, _ in blobs})
            with ThreadPoolExecutor(AT_ONCE) as pool:
                there = dict(zip(asked, pool.map(partial(self._there, client, name, "blobs"), asked), strict=True))
        return [*gone, *(words for digest, words in blobs if not there[digest])]

    def fetch(self, image: str, digest: str, folder: Path) -> None:
        """Write one platform's image into a folder as an OCI image layout; what arrives is compared with its digests.

        ``index.json`` is written last: a folder without it is not whole.
        """
        from release_pipelines.adapters.registries._layout import finish, place_of

        name = self.name(image)
        where = f"{name}@{digest}"
        with self.session() as client:
            found = self._read_manifest(client, name, digest)
            if found is None:
                raise PlatformError(f"{where} is gone from the registry {self.host}.")
            document, kind, _ = found
            if is_index(document):
                raise PlatformError(f"{where} is an index of several images: the digest of one platform is expected.")
            blobs = list({it.digest: it for _, it in blobs_of(document, where)}.values())
            if sum(it.size for it in blobs) > IMAGE_BYTES:
                raise PlatformError(f"{where} is larger than {IMAGE_BYTES:,} bytes.")
            for blob in blobs:
                self._download(client, name, blob, place_of(folder, blob.digest))
            content = self._bytes(client, name, "manifests", digest)
        assert content is not None  # noqa: S101 - it was there a moment ago, and raises where it is not whole
        finish(folder, Descriptor(media_type=kind, digest=digest, size=len(content)), content)

    def referrers(self, image: str, digest: str) -> list[Descriptor]:
        """What is attached to a digest: by the referrers API and, as older clients know no other, by the fallback tag."""
        name = self.name(image)
        with self.session() as client:
            listed = self._by_api(client, name, digest) or []
            known = {it.digest for it in listed}
            tagged = self._by_tag(client, name, digest)[0]
            both = [*listed, *(it for it in tagged if it.digest not in known)]
            return [self._told(client, name, it) for it in both]

    def read(self, image: str, digest: str) -> bytes:
        """A manifest's or blob's bytes, compared with their digest."""
        name = self.name(image)
        with self.session() as client:
            content = self._bytes(
                client, name, "blobs", digest
            )  # some answer 500 where a blob is asked for as a manifest
            if content is None:
                content = self._bytes(client, name, "manifests", digest)
        if content is None:
            raise PlatformError(f"{name}@{digest} is gone from the registry {self.host}.")
        return content

    def check(self) -> str:
        """Say that the registry answers, or raise."""
        self.digest_of("release-pipelines/connection-test", "none")
        return "The registry answers"

    def _manifest(self, client: httpx.Client, name: str, reference: str, method: str = "GET") -> httpx.Response:
        return self.ask(client, method, f"/v2/{name}/manifests/{reference}", {"Accept": ACCEPT})

    def _read_manifest(self, client: httpx.Client, name: str, digest: str) -> tuple[dict[str, Any], str, int] | None:
        """A manifest, its media type and its length; None where it is not there."""
        answer = self._manifest(client, name, digest)
        if answer.status_code == 404:
            return None
        where = f"{name}@{digest}"
        self.refuse(answer, where)
        self._compare(answer.content, digest, where)
        document = parsed(answer.content, where)
        return document, media_type(document, answer.headers.get("Content-Type", "")), len(answer.content)

    def _bytes(self, client: httpx.Client, name: str, kind: str, digest: str) -> bytes | None:
        headers = {"Accept": ACCEPT} if kind == "manifests" else AS_IT_IS
        answer = self.ask(client, "GET", f"/v2/{name}/{kind}/{digest}", headers, most=DOCUMENT_BYTES)
        if answer.status_code == 404 or (answer.status_code == 400 and kind == "blobs"):
            return None
        self.refuse(answer, f"{name}@{digest}")
        self._compare(answer.content, digest, f"{name}@{digest}")
        return answer.content

    def _compare(self, content: bytes, digest: str, where: str) -> None:
        if digest_of(content) != digest:
            raise PlatformError(
                f"The registry {self.host} sends other bytes for {where}: their digest is {digest_of(content)}."
            )

    def _there(self, client: httpx.Client, name: str, kind: str, digest: str) -> bool:
        headers = {"Accept": ACCEPT} if kind == "manifests" else {}
        answer = self.ask(client, "HEAD", f"/v2/{name}/{kind}/{digest}", headers)
        if answer.status_code == 404:
            return False
        self.refuse(answer, f"{name}@{digest}")
        return True

    def _entries(
        self,
        client: httpx.Client,
        name: str,
        digest: str,
        document: dict[str, Any],
        platforms: list[PlatformImage],
        beside: list[Descriptor],
        depth: int,
    ) -> None:
        """Sort the entries of an index; an index may hold others."""
        where = f"{name}@{digest}"
        for entry in document["manifests"]:
            found = descriptor(entry, where)
            if is_beside(entry):
                beside.append(found)
                continue
            platform = platform_of(entry.get("platform"))
            if platform is None:
                child = self._read_manifest(client, name, found.digest)
                if child and is_index(child[0]):
                    if not depth:
                        raise PlatformError(f"{where} is an index of indexes of indexes: images are expected.")
                    self._entries(client, name, found.digest, child[0], platforms, beside, depth - 1)
                    continue
                if child and child[0]["config"].get("mediaType") not in CONFIGS:
                    beside.append(found)
                    continue
                platform = self._platform(client, name, found.digest, child[0]) if child else None
            platforms.append(PlatformImage(**found.model_dump(), platform=platform or UNKNOWN))

    def _platform(self, client: httpx.Client, name: str, digest: str, document: dict[str, Any]) -> str | None:
        """What an image's configuration names."""
        import json

        config = descriptor(document["config"], f"{name}@{digest}")
        content = self._bytes(client, name, "blobs", config.digest) if config.media_type in CONFIGS else None
        try:
            return platform_of(json.loads(content)) if content else None
        except ValueError:
            return None

    def _download(self, client: httpx.Client, name: str, blob: Descriptor, path: Path) -> None:
        """A blob into a file that has its name only when it is whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        seen, length = hashlib.sha256(), 0
        with part.open("wb") as file:
            for piece in self._pieces(client, name, blob):
                seen.update(piece)
                length += len(piece)
                if length > blob.size:
                    break
                file.write(piece)
        if length != blob.size or f"sha256:{seen.hexdigest()}" != blob.digest:
            part.unlink()
            raise PlatformError(
                f"The registry {self.host} sends other bytes for {name}@{blob.digest}: {blob.size:,} of them with this digest are expected."
            )
        part.rename(path)

    def _pieces(self, client: httpx.Client, name: str, blob: Descriptor) -> Iterator[bytes]:
        with self.open(client, "GET", f"/v2/{name}/blobs/{blob.digest}", AS_IT_IS) as answer:
            if answer.status_code == 404:
                raise PlatformError(f"{name}@{blob.digest} is gone from the registry {self.host}.")
            if answer.status_code != 200:
                answer.read()
                self.refuse(answer, f"{name}@{blob.digest}")
            yield from answer.iter_raw(PIECE_BYTES)

    def _by_api(self, client: httpx.Client, name: str, digest: str) -> list[Descriptor] | None:
        """What the referrers API says; None where the registry has none."""
        found: list[Descriptor] = []
        for answer in self._pages(client, f"/v2/{name}/referrers/{digest}", {"Accept": INDEX}):
            if answer.status_code in NO_REFERRERS:
                return None
            self.refuse(answer, f"{name}@{digest}")
            try:
                entries = answer.json()["manifests"]
            except (ValueError, KeyError, TypeError):
                return None  # the page of a proxy, or of a registry that shows one for whatever it does not know
            if not isinstance(entries, list | None):
                return None
            found += [descriptor(it, f"The list of referrers of {name}@{digest}") for it in entries or []]
        return found

    def _by_tag(self, client: httpx.Client, name: str, digest: str) -> tuple[list[Descriptor], str | None]:
        """What the fallback tag names, and its digest now; None: there is no such tag."""
        tag = fallback_tag(digest)
        answer = self._manifest(client, name, tag)
        if answer.status_code == 404:
            return [], None
        self.refuse(answer, f"{name}:{tag}")
        where = f"{name}:{tag}"
        document = parsed(answer.content, where)
        if not is_index(document):
            raise PlatformError(
                f"{where} in the registry {self.host} is an image: an index of what is attached is expected."
            )
        return [descriptor(it, where) for it in document["manifests"]], digest_of(answer.content)

    def _told(self, client: httpx.Client, name: str, it: Descriptor) -> Descriptor:
        """A referrer with its type: some clients and registries list that of its configuration, which says nothing."""
        if it.artifact_type not in (None, EMPTY, *CONFIGS):
            return it
        found = self._read_manifest(client, name, it.digest)
        if found is None or is_index(found[0]):
            return it
        own = referrer_of(found[0], it)
        return own.model_copy(update={"annotations": {**it.annotations, **own.annotations}})

    def _pages(
        self, client: httpx.Client, path: str, headers: dict[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        """Answers of a list, page by page, all of this registry whatever it says; the first :data:`MOST_PAGES`."""
        for _ in range(MOST_PAGES):
            answer = self.ask(client, "GET", path, headers)
            yield answer
            following = re.match(r"\s*<([^>]+)>", answer.headers.get("Link", ""))
            if not following:
                return
            path = urlsplit(urljoin(f"{self._url}{path}", following[1]))._replace(scheme="", netloc="").geturl()


def fallback_tag(digest: str) -> str:
    """The tag under which clients keep what is attached to a digest, where the registry has no referrers API."""
    return digest.replace(":", "-")


def _digests(image: Image) -> set[str]:
    return {it.digest for it in image.platforms}
