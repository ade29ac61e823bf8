"""Images as OCI image layouts, made of nothing but files; and a registry that is such a folder."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.model.image import ATTESTATION, Descriptor, Image, PlatformImage

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def archive(files: Mapping[str, str] | Sequence[tuple[str, str]], *special: tarfile.TarInfo) -> bytes:
    """A layer's archive.

    :param special: further members without content, like links.
    """
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, text in files.items() if isinstance(files, Mapping) else files:
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
        for info in special:
            tar.addfile(info)
    return made.getvalue()


class Layout:
    """Blobs in a folder.

    :param folder: becomes an OCI image layout when :meth:`names` is called.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)

    def blob(self, content: bytes) -> str:
        """Write a blob; gives its digest."""
        name = hashlib.sha256(content).hexdigest()
        (self.folder / "blobs" / "sha256" / name).write_bytes(content)
        return f"sha256:{name}"

    def described(self, content: bytes, media_type: str, **more: Any) -> dict[str, Any]:
        """Write a blob; gives its descriptor."""
        return {"mediaType": media_type, "digest": self.blob(content), "size": len(content), **more}

    def image(
        self,
        *layers: Mapping[str, str] | bytes,
        architecture: str = "amd64",
        instructions: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        compressed: bool = True,
    ) -> PlatformImage:
        """Write an image of one platform.

        :param layers: files of each, or archives.
        :param instructions: what created each layer.
        """
        raw = [it if isinstance(it, bytes) else archive(it) for it in layers]
        history = [{"created_by": it} for it in instructions or [f"COPY {number} /" for number in range(len(raw))]]
        configuration = {
            "architecture": architecture,
            "os": "linux",
            "config": dict(settings or {}),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(it).hexdigest()}" for it in raw]},
            "history": [{"created_by": "ENV A=1", "empty_layer": True}, *history],
        }
        kind = "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if compressed else "")
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.described(json.dumps(configuration).encode(), "application/vnd.oci.image.config.v1+json"),
            "layers": [self.described(gzip.compress(it, mtime=0) if compressed else it, kind) for it in raw],
        }
        content = json.dumps(manifest).encode()
        return PlatformImage(
            media_type=MANIFEST, digest=self.blob(content), size=len(content), platform=f"linux/{architecture}"
        )

    def names(self, image: PlatformImage) -> Path:
        """Let the layout name one image; gives its folder."""
        entry = {"mediaType": image.media_type, "digest": image.digest, "size": image.size}
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
        (self.folder / "index.json").write_text(json.dumps(index))
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        return self.folder

    def layers_of(self, image: PlatformImage) -> list[str]:
        """Digests of an image's layers."""
        content = (self.folder / "blobs" / "sha256" / image.digest.removeprefix("sha256:")).read_text()
        return [it["digest"] for it in json.loads(content)["layers"]]


@dataclass
class FolderRegistry:
    """A registry in a folder: keeps the protocol ``Images`` as far as a scan asks.

    ``gone`` are digests that are away, ``away`` lets it not answer; ``fetched`` are the digests that were asked for.
    """

    layout: Layout
    host: str = "registry.example"
    login: None = None
    indexes: dict[str, Image] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    away: bool = False
    fetched: list[str] = field(default_factory=list)

    def index(self, *platforms: PlatformImage, attestation: bool = True) -> str:
        """Push an index, with an attestation beside the images; gives its digest."""
        beside = []
        if attestation:
            digest = self.layout.blob(json.dumps({"attests": [it.digest for it in platforms]}).encode())
            beside = [Descriptor(media_type=MANIFEST, digest=digest, annotations={ATTESTATION: "attestation-manifest"})]
        content = json.dumps([it.digest for it in (*platforms, *beside)]).encode()
        digest = self.layout.blob(content)
        self.indexes[digest] = Image(
            repository=f"{self.host}/shop",
            digest=digest,
            media_type=INDEX,
            platforms=list(platforms),
            attestations=beside,
        )
        return digest

    def single(self, image: PlatformImage) -> str:
        """Push one platform's image; gives its digest."""
        self.indexes[image.digest] = Image(
            repository=f"{self.host}/shop", digest=image.digest, media_type=MANIFEST, platforms=[image]
        )
        return image.digest

    def check(self) -> str:
        return "It answers."

    def repository(self, image: str) -> str:
        return f"{self.host}/{image.removeprefix(self.host + '/')}"

    def digest_of(self, image: str, tag: str) -> str | None:
        return None

    def image(self, image: str, digest: str) -> Image | None:
        if self.away:
            raise PlatformUnavailable("registry.example does not answer.")
        return self.indexes.get(digest)

    def lacks(self, image: Image) -> list[str]:
        return [f"{it.platform} {it.digest}" for it in image.platforms if it.digest in self.gone]

    def fetch(self, image: str, digest: str, folder: Path) -> None:
        self.fetched.append(digest)
        if digest in self.gone:
            raise PlatformError(f"{digest} is gone from the registry.")
        [platform] = [it for known in self.indexes.values() for it in known.platforms if it.digest == digest][:1]
        shutil.copytree(self.layout.folder, folder)
        copy = Layout.__new__(Layout)
        copy.folder = folder
        copy.names(platform)

    def referrers(self, image: str, digest: str) -> list[Descriptor]:
        return []

    def read(self, image: str, digest: str) -> bytes:
        return (self.layout.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()

    def attach(self, *_: Any) -> str:
        raise NotImplementedError

    def tag(self, image: str, digest: str, tag: str) -> None:
        raise NotImplementedError
