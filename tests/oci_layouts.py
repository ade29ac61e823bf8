"""Small images as OCI image layouts, made here; and a registry that has such images."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from release_pipelines.core.model.image import Image, PlatformImage

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"

DEBIAN_13 = 'NAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n'
DPKG = """Package: perl-base
Status: install ok installed
Architecture: amd64
Source: perl
Version: 5.40.1-6
Description: minimal Perl system

"""
LODASH = '{"name": "lodash", "version": "4.17.0", "license": "MIT"}'


def dist_info(name: str, version: str) -> dict[str, str]:
    """The file that says that a Python package is installed."""
    path = f"usr/lib/python3/site-packages/{name}-{version}.dist-info/METADATA"
    return {path: f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"}


def debian(**python: str) -> dict[str, str]:
    """Files of an image with packages of Debian 13, npm and Python."""
    files = {
        "etc/os-release": DEBIAN_13,
        "var/lib/dpkg/status": DPKG,
        "app/node_modules/lodash/package.json": LODASH,
    }
    for name, version in python.items():
        files |= dist_info(name, version)
    return files


def make_layout(folder: Path, layers: Sequence[Mapping[str, str]], architecture: str = "amd64") -> PlatformImage:
    """Write an image into a folder.

    :param layers: the files of each layer.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(content: bytes) -> dict[str, str | int]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    made = [put(_tar(files)) for files in layers]
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [it["digest"] for it in made]},
        "history": [{"created_by": f"COPY {sorted(files)}"} for files in layers],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **put(json.dumps(config).encode())},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **it} for it in made],
    }
    described = put(json.dumps(manifest).encode())
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": MANIFEST, **described}]})
    )
    return PlatformImage(
        media_type=MANIFEST,
        digest=str(described["digest"]),
        size=int(described["size"]),
        platform=f"linux/{architecture}",
    )


def _tar(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


class LayoutRegistry:
    """A registry with one index, whose images lie in folders; keeps the protocol that is needed to fetch them."""

    login = None

    def __init__(self, digest: str, images: Mapping[Path, PlatformImage], host: str = "registry.test") -> None:
        self.host = host
        self.digest = digest
        self.images = dict(images)

    def check(self) -> str:
        return "The registry answers"

    def repository(self, image: str) -> str:
        return f"{self.host}/{image}"

    def digest_of(self, image: str, tag: str) -> str | None:
        return self.digest

    def image(self, image: str, digest: str) -> Image | None:
        if digest != self.digest:
            return None
        platforms = list(self.images.values())
        return Image(repository=self.repository(image), digest=digest, media_type=INDEX, platforms=platforms)

    def lacks(self, image: Image) -> list[str]:
        return []

    def fetch(self, image: str, digest: str, folder: Path) -> None:
        layout = next(path for path, it in self.images.items() if it.digest == digest)
        shutil.copytree(layout, folder, dirs_exist_ok=True)

    def referrers(self, image: str, digest: str) -> list[object]:
        return []

    def read(self, image: str, digest: str) -> bytes:
        raise NotImplementedError

    def attach(self, *arguments: object) -> str:
        raise NotImplementedError

    def tag(self, image: str, digest: str, tag: str) -> None:
        raise NotImplementedError
