"""Manifests, as pure functions: bytes from a registry → values, and what is written there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.image import ATTESTATION, Descriptor, platform_name

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEXES = (INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
SINGLES = (MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")
MANIFESTS = ", ".join((*INDEXES[:1], *SINGLES[:1], *INDEXES[1:], *SINGLES[1:]))
CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
EMPTY = "application/vnd.oci.empty.v1+json"
EMPTY_CONFIG = b"{}"
MOST_MANIFESTS = 10_000
"""So many entries has a manifest at most, of any kind."""


def digest_of(content: bytes) -> str:
    """The digest of bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def parsed(content: bytes, where: str) -> dict[str, Any]:
    """A manifest or index.

    :param where: its repository and digest, for sentences.
    :raises PlatformError: where it is neither, or could be read as both.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise PlatformError(f"{where} is no manifest: JSON is expected.") from None
    if not isinstance(document, dict) or document.get("schemaVersion") != 2:
        raise PlatformError(
            f"{where} is a manifest of another version: an image of OCI or of Docker's schema 2 is expected."
        )
    manifests, config = document.get("manifests"), document.get("config")
    if isinstance(manifests, list) and len(manifests) <= MOST_MANIFESTS and config is None and "layers" not in document:
        return document
    layers = document.get("layers")
    if manifests is None and isinstance(config, dict) and isinstance(layers, list) and len(layers) <= MOST_MANIFESTS:
        return document
    raise PlatformError(f"{where} is neither the manifest of one image nor an index of several.")


def is_index(document: Mapping[str, Any]) -> bool:
    """Whether a manifest is one of several."""
    return "manifests" in document


def media_type(document: Mapping[str, Any], header: str = "") -> str:
    """What kind of manifest it is: as it says itself, or as the registry says."""
    known, given = (INDEXES if is_index(document) else SINGLES), header.partition(";")[0].strip()
    own = document.get("mediaType")
    return own if own in known else given if given in known else known[0]


def descriptor(entry: Any, where: str) -> Descriptor:
    """An entry of a manifest.

    :raises PlatformError: where it is none.
    """
    try:
        given = {
            "media_type": entry.get("mediaType") or "",
            "digest": entry.get("digest"),
            "size": entry.get("size") or 0,
            "artifact_type": entry.get("artifactType"),
            "annotations": entry.get("annotations") or {},
        }
        return Descriptor(**given)
    except (ValidationError, AttributeError, TypeError):
        raise PlatformError(
            f"{where} has an entry that cannot be read: a media type, a digest of sha256 and a size are expected."
        ) from None


def entry_of(it: Descriptor) -> dict[str, Any]:
    """A descriptor as it stands in a manifest."""
    entry: dict[str, Any] = {"mediaType": it.media_type, "digest": it.digest, "size": it.size}
    if it.artifact_type:
        entry["artifactType"] = it.artifact_type
    if it.annotations:
        entry["annotations"] = dict(sorted(it.annotations.items()))
    return entry


def is_beside(entry: Mapping[str, Any]) -> bool:
    """Whether an index' entry is no image, but what a builder put beside them."""
    platform = entry.get("platform")
    unknown = isinstance(platform, dict) and (platform.get("os"), platform.get("architecture")) == (
        "unknown",
        "unknown",
    )
    annotations = entry.get("annotations")
    return unknown or (isinstance(annotations, dict) and ATTESTATION in annotations)


def platform_of(given: Any) -> str | None:
    """The platform that an index' entry or an image's configuration names; None: it names none."""
    if not isinstance(given, dict) or not isinstance(given.get("os"), str) or not given["os"]:
        return None
    words = [it if isinstance(it := given.get(key), str) else "" for key in ("architecture", "variant", "os.version")]
    return platform_name(given["os"], *words)


def blobs_of(document: Mapping[str, Any], where: str) -> Iterator[tuple[str, Descriptor]]:
    """Configuration and layers of one image; not layers that registries need not have (Windows' own)."""
    yield "configuration", descriptor(document["config"], where)
    for layer in document["layers"]:
        found = descriptor(layer, where)
        if "foreign" not in found.media_type and "nondistributable" not in found.media_type:
            yield "layer", found


def written(document: Mapping[str, Any]) -> bytes:
    """A manifest as bytes; the same manifest always has the same ones."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def artifact(
    subject: Descriptor, artifact_type: str, layer: Descriptor, annotations: Mapping[str, str]
) -> dict[str, Any]:
    """The manifest of a document that belongs to a digest."""
    config = Descriptor(media_type=EMPTY, digest=digest_of(EMPTY_CONFIG), size=len(EMPTY_CONFIG))
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": entry_of(config),
        "layers": [entry_of(layer)],
        "subject": entry_of(subject),
        **({"annotations": dict(sorted(annotations.items()))} if annotations else {}),
    }


def referrer_of(document: Mapping[str, Any], it: Descriptor) -> Descriptor:
    """How what was attached stands in a list of referrers.

    :param it: its digest and size.
    """
    config = document.get("config")
    kind = document.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else None)
    more = {"artifactType": kind, "annotations": document.get("annotations")}
    return descriptor({**entry_of(it), "mediaType": media_type(document), **more}, f"The manifest {it.digest}")


def index_of(entries: list[Descriptor]) -> bytes:
    """The index that a fallback tag names."""
    return written({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry_of(it) for it in entries]})
