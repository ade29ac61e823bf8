"""The OCI image layout: an image as a folder of blobs."""

from __future__ import annotations

import json
from pathlib import Path

from release_pipelines.adapters.registries._manifests import INDEX, entry_of
from release_pipelines.core.model.image import Descriptor


def place_of(folder: Path, digest: str) -> Path:
    """Where a blob stands."""
    algorithm, _, value = digest.partition(":")
    return folder / "blobs" / algorithm / value


def finish(folder: Path, manifest: Descriptor, content: bytes) -> None:
    """Write the manifest, and what makes the folder a layout."""
    place = place_of(folder, manifest.digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry_of(manifest)]}
    (folder / "index.json").write_text(json.dumps(index))
