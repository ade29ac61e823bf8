"""Bills of materials as a release keeps them, and what they are attested as."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from release_pipelines.core.attestations.reading import Unreadable
from release_pipelines.core.attestations.statement import CYCLONEDX, SPDX
from release_pipelines.core.model.image import Image

_NAME = re.compile(r"sbom[\w.-]*\.(cdx|spdx)\.json")
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")


def is_sbom(name: str) -> bool:
    """Whether a text of a release is one, by its name."""
    return _NAME.fullmatch(name) is not None


def type_of(name: str) -> str:
    """The predicate's type of one, by its name."""
    return CYCLONEDX if name.endswith(".cdx.json") else SPDX


def subject_of(name: str, document: Mapping[str, Any], image: Image) -> str:
    """Which of an image's digests it is about: the platform's in its name, or one that it names itself, else the image's.

    :raises Unreadable: where its name is that of a platform that the image has not.
    """
    part = name.removeprefix("sbom").rpartition(".")[0].rpartition(".")[0].removeprefix("-")
    if part:
        for it in image.platforms:
            if it.platform.replace("/", "-") == part:
                return it.digest
        raise Unreadable(f"{image.digest} has no image for {part}")
    ours = {image.digest, *(it.digest for it in image.platforms)}
    named = (f"sha256:{found[1]}" for text in _said(document) for found in _DIGEST.finditer(text))
    return next((it for it in named if it in ours), image.digest)


def _said(document: Mapping[str, Any]) -> Iterator[str]:
    """Where CycloneDX and SPDX name what they are about."""
    metadata = document.get("metadata")
    component = metadata.get("component") if isinstance(metadata, Mapping) else None
    if isinstance(component, Mapping):
        yield from (str(component.get(key) or "") for key in ("purl", "version", "bom-ref", "name"))
        for it in component.get("properties") or ():
            yield str(it.get("value") or "") if isinstance(it, Mapping) else ""
    yield from (str(document.get(key) or "") for key in ("name", "documentNamespace"))
