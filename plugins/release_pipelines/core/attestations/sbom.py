"""Bills of materials as a release keeps them, and what they are attested as."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from release_pipelines.core.attestations.statement import CYCLONEDX, SPDX

_NAME = re.compile(r"sbom[\w.-]*\.(cdx|spdx)\.json")
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")


def is_sbom(name: str) -> bool:
    """Whether a text of a release is one, by its name."""
    return _NAME.fullmatch(name) is not None


def type_of(name: str) -> str:
    """The predicate's type of one, by its name."""
    return CYCLONEDX if name.endswith(".cdx.json") else SPDX


def subject_of(name: str, document: Mapping[str, Any], digests: frozenset[str]) -> str | None:
    """Which of an image's digests it is about, by its name or by what it says itself; None: it names none of them.

    :param digests: of the image and of its platforms.
    """
    for text in (name, *_said(document)):
        for found in _DIGEST.finditer(text):
            if (digest := f"sha256:{found[1]}") in digests:
                return digest
    return None


def _said(document: Mapping[str, Any]) -> Iterator[str]:
    """Where CycloneDX and SPDX name what they are about."""
    metadata = document.get("metadata")
    component = metadata.get("component") if isinstance(metadata, Mapping) else None
    if isinstance(component, Mapping):
        yield from (str(component.get(key) or "") for key in ("purl", "version", "bom-ref", "name"))
        for it in component.get("properties") or ():
            yield str(it.get("value") or "") if isinstance(it, Mapping) else ""
    yield from (str(document.get(key) or "") for key in ("name", "documentNamespace"))
